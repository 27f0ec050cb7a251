// Tuning as a verb of the platform: a base from the store, a customer's data, and a classifier that
// stands under its own name afterwards.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/decision.h"
#include "platform/model_store.h"
#include "platform/progress.h"
#include "tune/classifier.h"
#include "tune/generation_tuning.h"
#include "tune/span_tagger.h"
#include "tune/tuning.h"

namespace malina::platform {

struct ModelFile;
struct Processor;

// What is learned: one label of each text, the spans in it, or what the model writes.
enum class TuneTask { automatic, classification, spans, generation };
// What `automatic` means for the data: conversations and completions are written; labelled texts
// are classified; texts with spans and no label are tagged. Throws what tune::ExampleReader throws.
TuneTask task_of_data(const tune::TuningRequest& request);

// Memory that others use, too. Empty: the job takes what the machine has.
struct MemoryGrant {
  std::uint64_t most = 0;  // bytes of the job in all
  // Takes so many; waits until there are. May throw, which ends the job.
  std::function<void(std::uint64_t bytes)> take = {};
};

struct TuneRequest {
  TuneTask task = TuneTask::automatic;
  std::string model;             // a name or a path; may be empty where the method is `linear`
  std::string suffix;            // the classifier's name is MODEL:SUFFIX, or SUFFIX without a model
  std::filesystem::path output;  // where the directory is written; empty: under the home
  bool dry_run = false;          // a plan alone; nothing is written
  bool replace = false;          // what stands there
  unsigned threads = 0;
  std::string job;  // of a server, that this is done for; its name is kept for it. Empty: none
  MemoryGrant memory;
  tune::TuningRequest tuning;
  // Where the data teaches the model to write (generation_tuning.h); its files and reading are
  // those of `tuning`.
  tune::GenerationRequest generation;
};

struct TuneOutcome {
  bool finished = false;  // false: paused; the same request goes on
  std::string name;
  std::filesystem::path directory;
  tune::TuningReport report;                              // of a classifier
  std::optional<tune::GenerationReport> generation = {};  // of a model that writes
  std::optional<tune::SpanReport> spans = {};             // of a tagger
  std::optional<tune::TuningPlan> plan = {};              // of a dry run, which finishes nothing
  std::string page = {};  // a classifier's report as HTML, as it stands in the directory too
};

// Classifiers and taggers under their names, in HOME/tuned: each a directory that tuning wrote.
class TunedClassifiers {
 public:
  explicit TunedClassifiers(std::filesystem::path home) : folder_(std::move(home) / "tuned") {}

  // The directory of a name, or the path itself where it is a classifier's; nullopt where neither
  // is one.
  std::optional<std::filesystem::path> find(std::string_view name_or_path) const;
  // Only of a name, never of a path: what strangers may ask for.
  std::optional<std::filesystem::path> find_name(std::string_view name) const;
  std::vector<std::string> names() const;  // of all, ascending
  // "sha256:..." of the base of one that find() gave, and what it was called; empty where it needs
  // none.
  struct Base {
    std::string digest, name;
  };
  static Base base_of(const std::filesystem::path& directory);
  std::filesystem::path place(const std::string& name) const { return folder_ / name; }
  // Where certificates that were checked are remembered.
  std::filesystem::path checked() const { return folder_ / ".checked"; }

 private:
  std::filesystem::path folder_;
};

// What one that find() gave was trained to answer. Throws what reading its manifest throws.
QuestionPointer own_question(const std::filesystem::path& directory);

// A classifier or a tagger ready to answer. One thread at a time, which has the processor's turn
// where others use it too, unless takes_turns().
class LoadedClassifier {
 public:
  LoadedClassifier(const std::filesystem::path& directory, std::shared_ptr<const ModelFile> file,
                   Processor& processor, const ProgressSink& progress);
  // With the weights of its base, which are there already; null where it needs none.
  LoadedClassifier(const std::filesystem::path& directory, std::shared_ptr<const ModelFile> file,
                   std::shared_ptr<const model::Model> weights, Processor& processor);
  ~LoadedClassifier();

  // That it answers as it was certified (classifier_certificate.h). Throws corrupt_file.
  void check(const std::filesystem::path& directory, const std::filesystem::path& remembered);

  // Or the types of its spans.
  const std::vector<std::string>& labels() const {
    return tagger_ ? tagger_->manifest().types : classifier_->manifest().labels;
  }
  // What it was trained to answer: a choice among its labels, or an extract.
  const QuestionPointer& question() const { return question_; }
  // check() and decide() take the processor's turns for their own steps: whoever calls them must
  // not hold one.
  bool takes_turns() const { return classifier_ && classifier_->takes_turns(); }
  // One for each text; an empty one is refused. Calibrated; it abstains below the threshold that
  // its validation data gave.
  std::vector<Decision> decide(std::span<const std::string> texts);
  // Positions that the text takes; 0 where words alone are used.
  std::size_t tokens(std::string_view text) const;
  // Of its manifest, which names its base and all that it was made from.
  const std::string& digest() const { return digest_; }

 private:
  // Of texts that are not refused.
  std::vector<Decision> choose(std::span<const std::string> texts);
  std::vector<Decision> tag(std::span<const std::string> texts);

  std::shared_ptr<const ModelFile> file_;
  std::unique_ptr<tune::Classifier> classifier_;  // one of the two
  std::unique_ptr<tune::SpanTagger> tagger_;
  QuestionPointer question_;
  std::string digest_;
};

// The base may be null (method `linear`). Throws base::Error as tune::Tuning does; already_exists
// where the output is there; io. The output appears complete or not at all.
TuneOutcome run_tuning(const TuneRequest& request, const ResolvedModel* base,
                       std::shared_ptr<const ModelFile> file, Processor& processor,
                       const TunedClassifiers& classifiers, const tune::TuningEvents& events,
                       const ProgressSink& progress);

// "sha256:..." of a model: the store's, or that of the file. Throws unsupported for a directory
// that is not in the store.
std::string base_digest(const ResolvedModel& model);

}  // namespace malina::platform
