#include "platform/tuning.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/atomic_folder.h"
#include "base/digest.h"
#include "base/error.h"
#include "decide/text_check.h"
#include "model/peft.h"
#include "platform/classifier_certificate.h"
#include "platform/decider.h"
#include "platform/model_file.h"
#include "platform/model_name.h"
#include "platform/processor.h"
#include "platform/span_tuning.h"
#include "platform/tuned_output.h"
#include "platform/tuning_memory.h"
#include "platform/tuning_report_page.h"
#include "tune/label_task.h"

namespace malina::platform {

using base::Error;
using base::Fault;
namespace fs = std::filesystem;

namespace {

void write_classifier(const fs::path& directory, tune::Tuning& tuning,
                      const tune::ManifestFacts& facts, const std::string& page,
                      const model::Model* model) {
  const tune::TuningRequest& request = tuning.request();
  const tune::TuningReport& report = tuning.report();
  const tune::TunedClassifier& result = tuning.result();
  const tune::Certificate certificate = tuning.certificate();
  const std::string certified = to_text(certificate);
  nlohmann::ordered_json manifest = manifest_json(report, request, facts);
  manifest["certificate"] = certificate_facts(certificate, certified);
  std::vector<model::PeftFiles::Extra> files{
      {std::string(tune::kManifestName),
       manifest.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n"},
      {std::string(tune::kCertificateName), certified},
      {std::string(tune::kReportName), page},
      {std::string(tune::kLinearName), result.linear->bytes()}};
  const std::string card = tune::model_card(report, request, facts);
  if (report.uses(tune::Method::probe))
    files.push_back({std::string(tune::kProbeName), result.probe->bytes()});
  if (report.uses_adapter()) {
    const bool labels = report.uses(tune::Method::labels);
    model::write_peft(directory, labels ? *result.label_adapter : *result.adapter, *model,
                      {.base_name = facts.base_name, .model_card = card, .extra = files});
    return;
  }
  base::AtomicFolder folder(directory);
  folder.write("README.md", card);
  for (const auto& file : files) folder.write(file.name, file.content);
  folder.commit();
}

// Null where the model has none that can be rendered: then what is asked is plain text.
const text::ChatTemplate* template_of(const ModelFile& file) {
  const auto found = file.templates.find("");
  return found == file.templates.end() ? nullptr : &found->second;
}

// Throws invalid_argument where a label is none that a decision may have.
QuestionPointer question_of(const std::vector<std::string>& labels) {
  const nlohmann::ordered_json choice{
      {"type", "choice"}, {"instructions", tune::kLabelInstructions}, {"choices", labels}};
  return questions_of(choice, "labels").at(0);
}

}  // namespace

std::string base_digest(const ResolvedModel& model) {
  if (model.record) return model.record->digest.text();
  if (!fs::is_regular_file(model.file))
    throw Error(Fault::unsupported,
                fmt::format("{} is a directory that is not in the store: import it first",
                            model.file.string()));
  return base::digest_file(base::File::open(model.file)).text();
}

std::optional<fs::path> TunedClassifiers::find(std::string_view name_or_path) const {
  const fs::path path(name_or_path);
  const auto is_one = [](const fs::path& directory) {
    return tune::Classifier::is_one(directory) || tune::SpanTagger::is_one(directory);
  };
  if (is_one(path)) return path;
  const bool plain = name_or_path.find('/') == std::string_view::npos && !name_or_path.empty() &&
                     name_or_path.front() != '.';
  if (plain && is_one(folder_ / path)) return folder_ / path;
  return std::nullopt;
}

std::optional<fs::path> TunedClassifiers::find_name(std::string_view name) const {
  if (!name_fault(name).empty()) return std::nullopt;
  const fs::path directory = folder_ / fs::path(name);
  if (tune::Classifier::is_one(directory) || tune::SpanTagger::is_one(directory)) return directory;
  return std::nullopt;
}

std::vector<std::string> TunedClassifiers::names() const {
  std::vector<std::string> names;
  std::error_code none;  // no folder: nothing was tuned yet
  for (const auto& entry : fs::directory_iterator(folder_, none)) {
    std::string name = entry.path().filename().string();
    if (find_name(name)) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

TunedClassifiers::Base TunedClassifiers::base_of(const fs::path& directory) {
  if (tune::SpanTagger::is_one(directory)) {
    const tune::SpanManifest manifest = tune::SpanTagger::manifest(directory);
    return {manifest.base_digest, manifest.base_name};
  }
  const tune::ClassifierManifest manifest = tune::Classifier::manifest(directory);
  return {manifest.base_digest, manifest.base_name};
}

TuneTask task_of_data(const tune::TuningRequest& request) {
  if (request.training.empty()) return TuneTask::classification;
  const tune::ExampleReader reader(request.training.front(), request.reading);
  const tune::DatasetFormat& format = reader.format();
  if (format.schema != tune::Schema::labelled) return TuneTask::generation;
  return format.label_key.empty() && !format.slots_key.empty() ? TuneTask::spans
                                                               : TuneTask::classification;
}

QuestionPointer own_question(const fs::path& directory) {
  if (tune::SpanTagger::is_one(directory))
    return span_question(tune::SpanTagger::manifest(directory).types);
  return question_of(tune::Classifier::manifest(directory).labels);
}

LoadedClassifier::LoadedClassifier(const fs::path& directory, std::shared_ptr<const ModelFile> file,
                                   Processor& processor, const ProgressSink& progress)
    : LoadedClassifier(directory, file,
                       file ? load_for_tuning(*file, processor, progress) : nullptr, processor) {}

LoadedClassifier::LoadedClassifier(const fs::path& directory, std::shared_ptr<const ModelFile> file,
                                   std::shared_ptr<const model::Model> model, Processor& processor)
    : file_(std::move(file)) {
  const auto tokenizer = file_ ? file_->tokenizer : nullptr;
  const bool tags = tune::SpanTagger::is_one(directory);
  if (tags)
    tagger_ = std::make_unique<tune::SpanTagger>(directory, model, tokenizer, processor.device);
  else
    classifier_ = std::make_unique<tune::Classifier>(directory, model, tokenizer, processor.device,
                                                     file_ ? template_of(*file_) : nullptr,
                                                     &processor.arbiter);
  question_ = tags ? span_question(labels()) : question_of(labels());
  digest_ = base::digest_file(base::File::open(directory / (tags ? tune::kSpanManifestName
                                                                 : tune::kManifestName)))
                .text();
}

LoadedClassifier::~LoadedClassifier() = default;

void LoadedClassifier::check(const fs::path& directory, const fs::path& remembered) {
  if (classifier_)
    check_certificate(directory, *classifier_, remembered);
  else
    check_certificate(directory, *tagger_, remembered);
}

std::vector<Decision> LoadedClassifier::decide(std::span<const std::string> texts) {
  std::vector<Decision> decisions(texts.size());
  std::vector<std::string> asked;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    decisions[i].refusal = decide::refusal_of_text(texts[i]);
    if (!decisions[i].refusal.empty()) continue;
    asked.push_back(texts[i]);
    places.push_back(i);
  }
  auto answered = tagger_ ? tag(asked) : choose(asked);
  for (std::size_t i = 0; i < answered.size(); ++i) decisions[places[i]] = std::move(answered[i]);
  return decisions;
}

std::size_t LoadedClassifier::tokens(std::string_view text) const {
  if (!file_) return 0;
  const text::Tokenizer& tokenizer = *file_->tokenizer;
  return tagger_ ? tagger_->manifest().form.tokens(tokenizer, text).ids.size()
                 : classifier_->tokens(text).size();
}

std::vector<Decision> LoadedClassifier::tag(std::span<const std::string> texts) {
  std::vector<Decision> decisions;
  const auto answers = tagger_->answer(texts);
  for (std::size_t i = 0; i < answers.size(); ++i)
    decisions.push_back(span_decision(*question_, texts[i], labels(), answers[i]));
  return decisions;
}

std::vector<Decision> LoadedClassifier::choose(std::span<const std::string> texts) {
  std::vector<Decision> decisions;
  const auto answers = classifier_->answer(texts);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const double best = answers[i].probabilities[answers[i].answer];
    const double even = 1.0 / static_cast<double>(labels().size());
    decide::Answer answer;
    answer.probabilities = answers[i].probabilities;
    answer.best = answers[i].answer;
    answer.probability = best;
    answer.confidence = (best - even) / (1 - even);
    answer.label_mass = 1;
    answer.calibrated = true;
    answer.abstain = answers[i].abstain;
    decisions.push_back(decision_of(*question_, answer));
  }
  return decisions;
}

TuneOutcome run_tuning(const TuneRequest& request, const ResolvedModel* base,
                       std::shared_ptr<const ModelFile> file, Processor& processor,
                       const TunedClassifiers& classifiers, const tune::TuningEvents& events,
                       const ProgressSink& progress) {
  check_suffix(request.suffix);
  TuneOutcome outcome;
  outcome.name = base != nullptr ? base_name(*base) + ":" + request.suffix : request.suffix;
  outcome.directory =
      place_of(request.output.empty() ? classifiers.place(outcome.name) : request.output);
  check_free(outcome.directory, request.replace);
  tune::TuningRequest tuning_request = request.tuning;
  if (!request.dry_run) {
    fs::create_directories(outcome.directory.parent_path());
    tuning_request.snapshot = outcome.directory;
    tuning_request.snapshot += ".snapshot";
  }
  if (file) tuning_request.chat_template = template_of(*file);
  const bool needs_model = tuning_request.method != tune::Method::linear;
  if (base != nullptr && needs_model) tuning_request.base_digest = base_digest(*base);
  TuningMemory memory(request);
  memory.take_inputs(needs_model ? file.get() : nullptr, tuning_request);
  const auto model = file && needs_model ? load_for_tuning(*file, processor, progress) : nullptr;
  tune::Tuning tuning(model, file ? file->tokenizer.get() : nullptr, processor.device,
                      tuning_request);
  tuning.read();
  question_of(tuning.report().labels);  // refused now, not after hours of training
  if (request.dry_run) {
    outcome.plan = tuning.plan(events);
    outcome.report = tuning.report();
    return outcome;
  }
  if (events.stage) events.stage("counting memory", 0, 1);
  memory.take(tuning.settle_memory(memory.left()));
  outcome.finished = tuning.run(events);
  outcome.report = tuning.report();
  if (!outcome.finished) return outcome;
  const tune::ManifestFacts facts{.name = outcome.name,
                                  .base_name = base != nullptr ? base_name(*base) : "",
                                  .base_digest = tuning_request.base_digest,
                                  .base_licence = file ? licence_of(*file) : "",
                                  .created = time_now(),
                                  .version = MALINA_VERSION};
  outcome.page = tuning_report_page(tuning.report(), tuning.request(), facts);
  place_directory(outcome.directory, [&](const fs::path& directory) {
    write_classifier(directory, tuning, facts, outcome.page, model.get());
    // It holds texts: the owner's alone, wherever the directory is.
    fs::permissions(directory / tune::kCertificateName,
                    fs::perms::owner_read | fs::perms::owner_write);
  });
  std::error_code ignored;
  fs::remove(tuning_request.snapshot, ignored);
  for (const fs::path& leftover : tuning.leftovers()) fs::remove(leftover, ignored);
  return outcome;
}

}  // namespace malina::platform
