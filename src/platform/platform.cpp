#include "platform/platform.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "platform/adapter_file.h"
#include "platform/full_tuning.h"
#include "platform/generation_tuning.h"
#include "platform/model_file.h"
#include "platform/model_name.h"
#include "platform/processor.h"
#include "platform/span_tuning.h"
#include "platform/tuned_output.h"
#include "platform/tuning.h"
#include "platform/tuning_hold.h"

namespace malina::platform {

namespace {

// What is written of an adapter's name would be its base alone.
ResolvedModel whole_model(ModelStore& store, std::string_view model) {
  ResolvedModel resolved = store.resolve(model);
  if (resolved.adapter)
    throw base::Error(base::Fault::invalid_argument,
                      fmt::format("'{}' is an adapter: 'malina adapter merge' makes a model of it "
                                  "and its base",
                                  model));
  return resolved;
}

}  // namespace

Platform::Platform(std::filesystem::path home, std::string offline_reason)
    : store_(std::move(home)),
      offline_reason_(std::move(offline_reason)),
      records_(store_.home()) {}
Platform::~Platform() = default;

ImportOutcome Platform::import_model(const ImportRequest& request, const ProgressSink& progress) {
  return store_.import_model(request, progress);
}

PullOutcome Platform::pull_model(const PullRequest& request, const PullChooser& choose,
                                 const ProgressSink& progress) {
  return platform::pull_model(store_, offline_reason_, request, choose, progress);
}

std::vector<ModelRecord> Platform::list_models() { return store_.list(); }

Removal Platform::remove_model(std::string_view name) { return store_.remove(name); }

Verification Platform::verify_model(std::string_view name, const ProgressSink& progress) {
  return store_.verify(name, progress);
}

std::shared_ptr<const ModelFile> Platform::model_file(std::string_view model) {
  // Each time: the name may stand for another model than the last time.
  return file_of(store_.resolve(model));
}

std::shared_ptr<const ModelFile> Platform::file_of(const ResolvedModel& resolved) {
  const auto digest = resolved.weights_digest();
  const std::string identity = digest ? digest->text() : resolved.file.string();
  const std::scoped_lock lock(mutex_);
  if (last_file_ && last_identity_ == identity) return last_file_;
  last_file_ = open_model_file(resolved.file);
  last_identity_ = identity;
  return last_file_;
}

TokenizedText Platform::tokenize(std::string_view model, std::string_view text,
                                 const TokenizeOptions& options) {
  const auto file = model_file(model);
  const text::Tokenizer& tokenizer = *file->tokenizer;
  TokenizedText result;
  result.ids = tokenizer.encode(text, {.add_bos = options.bos, .parse_special = options.special});
  result.pieces.reserve(result.ids.size());
  for (const text::Token id : result.ids) result.pieces.emplace_back(tokenizer.piece(id));
  return result;
}

std::string Platform::detokenize(std::string_view model, std::span<const std::int32_t> ids,
                                 bool special) {
  const auto file = model_file(model);
  const auto size = static_cast<std::int64_t>(file->tokenizer->vocabulary_size());
  for (const std::int32_t id : ids)
    if (id < 0 || id >= size)
      throw base::Error(
          base::Fault::invalid_argument,
          fmt::format("token id {} is not in the vocabulary, which has {} tokens", id, size));
  return file->tokenizer->decode(ids, special);
}

Inspection Platform::inspect(std::string_view model, const InspectOptions& options,
                             const ProgressSink& progress) {
  return inspect_model(store_.resolve(model), options, progress);
}

std::unique_ptr<LanguageModel> Platform::load(std::string_view model, const RunOptions& options,
                                              const ProgressSink& progress) {
  const ResolvedModel resolved = store_.resolve(model);
  const auto file = file_of(resolved);
  const std::uint64_t total = file->checkpoint->total_bytes();
  auto loaded =
      std::make_unique<LanguageModel>(file, processor(options.threads), options, [&](double share) {
        if (progress)
          progress(
              {"loading", static_cast<std::uint64_t>(share * static_cast<double>(total)), total});
      });
  if (!resolved.adapter) return loaded;
  return std::make_unique<LanguageModel>(*loaded, loaded->load_adapter(resolved.adapter->place));
}

Processor& Platform::processor(unsigned threads) {
  const std::scoped_lock lock(mutex_);
  if (!processor_) processor_ = std::make_unique<Processor>(threads);
  return *processor_;
}

namespace {

// Under which it will stand in the store.
std::string name_of_tuned(const TuneRequest& request, bool full, const ResolvedModel* base) {
  if (full) return full_name(*base, request.suffix);
  return base != nullptr ? base_name(*base) + ":" + request.suffix : request.suffix;
}

}  // namespace

// A name is a classifier's, a model's or an alias's, and one that a client can ask for.
void Platform::check_name_of_tuned(const std::string& name, bool writes) {
  const auto aliases = store_.list_aliases();
  const char* taken = nullptr;
  if (std::any_of(aliases.begin(), aliases.end(),
                  [&](const auto& each) { return each.name == name; }))
    taken = "an alias";
  else if (writes && TunedClassifiers(home()).find(name))
    taken = "a tuned classifier";
  else if (!writes && store_.find(name))
    taken = "a model in the store";
  if (taken != nullptr)
    throw base::Error(base::Fault::already_exists,
                      fmt::format("{} is the name of {}: choose another --suffix", name, taken));
}

// What is tuned here is nobody else's until it has ended. A server holds the name of its job
// itself.
std::unique_ptr<TuningHold> Platform::hold_tuned(const TuneRequest& request, bool writes,
                                                 const ResolvedModel* base) {
  check_suffix(request.suffix);
  const bool holds = !request.dry_run && request.job.empty();
  const bool stored = request.output.empty();
  const std::filesystem::path output = stored ? "" : place_of(request.output);
  if (!stored && output.parent_path() != place_of(home() / "tuned"))
    return holds ? std::make_unique<TuningHold>(output) : nullptr;
  const bool full = writes && request.generation.recipe.full && base != nullptr;
  const std::string name = stored ? name_of_tuned(request, full, base) : output.filename().string();
  if (stored && (base == nullptr || base->record || full)) check_name(name);
  auto hold = holds ? std::make_unique<TuningHold>(home(), name) : nullptr;
  if (stored) check_name_of_tuned(name, writes);
  // Whoever cancelled it would discard what was made here. Whoever makes a job holds its name.
  const auto job = records_.open_job_called(name);
  if (!job || *job == request.job) return hold;
  if (hold) hold->leave_nothing();  // what is left is the job's
  throw base::Error(base::Fault::already_exists,
                    fmt::format("{} is what the server's job {} makes: cancel that job, or choose "
                                "another --suffix",
                                name, *job));
}

TuneOutcome Platform::tune(const TuneRequest& request, const tune::TuningEvents& events,
                           const ProgressSink& progress) {
  const TunedClassifiers classifiers(home());
  const TuneTask task =
      request.task == TuneTask::automatic ? task_of_data(request.tuning) : request.task;
  std::optional<ResolvedModel> base;
  std::shared_ptr<const ModelFile> file;
  if (!request.model.empty()) {
    base = whole_model(store_, request.model);
    file = model_file(request.model);
  }
  const auto hold = hold_tuned(request, task == TuneTask::generation, base ? &*base : nullptr);
  Processor& with = processor(request.threads);
  if (task == TuneTask::generation) {
    if (!base)
      throw base::Error(base::Fault::invalid_argument,
                        "a model is needed, where it is to learn to write");
    const auto run = request.generation.recipe.full ? run_full_tuning : run_generation_tuning;
    return run(request, *base, file, with, store_, events, progress);
  }
  const auto run = task == TuneTask::spans ? run_span_tuning : run_tuning;
  return run(request, base ? &*base : nullptr, file, with, classifiers, events, progress);
}

std::unique_ptr<LoadedClassifier> Platform::load_classifier(std::string_view name, unsigned threads,
                                                            const ProgressSink& progress) {
  const TunedClassifiers classifiers(home());
  const auto directory = classifiers.find(name);
  if (!directory) return nullptr;
  const TunedClassifiers::Base needed = TunedClassifiers::base_of(*directory);
  std::shared_ptr<const ModelFile> file;
  if (!needed.digest.empty()) {
    const auto models = list_models();
    const auto base = std::find_if(models.begin(), models.end(), [&](const ModelRecord& model) {
      return model.digest.text() == needed.digest;
    });
    if (base == models.end())
      throw base::Error(base::Fault::not_found,
                        fmt::format("{} was tuned on {} ({}), which is not in the store",
                                    std::string(name), needed.name, needed.digest));
    file = model_file(base->name);
  }
  auto classifier =
      std::make_unique<LoadedClassifier>(*directory, file, processor(threads), progress);
  classifier->check(*directory, classifiers.checked());
  return classifier;
}

// Whoever else may answer decides the answers too.
void Platform::add_targets(DecisionFileRequest& request) {
  for (const QuestionPointer& question : request.questions)
    if (const std::string target = escalation_of(*question); !target.empty())
      request.model += fmt::format(" {}", inspect(target).digest.value_or(""));
}

DecisionFileReport Platform::decide_file(LanguageModel& model, std::string_view name,
                                         DecisionFileRequest request,
                                         const ProgressSink& progress) {
  if (!request.output.empty()) {
    request.model = inspect(name, {}, progress).digest.value_or("");
    add_targets(request);
  }
  return decide_rows(model, request, progress);
}

DecisionFileReport Platform::decide_file(LoadedClassifier& classifier, DecisionFileRequest request,
                                         const ProgressSink& progress) {
  request.model = classifier.digest();
  if (!request.output.empty()) add_targets(request);
  return decide_rows(classifier, request, progress);
}

QuantizeReport Platform::quantize(std::string_view model, const QuantizeRequest& request,
                                  const ProgressSink& progress) {
  return quantize_model(whole_model(store_, model), request, progress);
}

ConvertReport Platform::convert(std::string_view model, const ConvertRequest& request,
                                const ProgressSink& progress) {
  return convert_model(whole_model(store_, model), request, progress);
}

AdapterSource Platform::adapter_source(std::string_view adapter, std::string_view base) {
  const std::string label(adapter);
  if (!base.empty()) {
    if (!is_adapter(label))
      throw base::Error(base::Fault::not_found,
                        fmt::format("{}: is neither a PEFT directory nor a GGUF adapter", label));
    ResolvedModel resolved = whole_model(store_, base);
    return {label, label, std::move(resolved)};
  }
  ResolvedModel resolved = store_.resolve(adapter);
  if (!resolved.adapter)
    throw base::Error(base::Fault::invalid_argument,
                      fmt::format("'{}' is a model, not an adapter", label));
  ResolvedModel of{resolved.adapter->base.name, resolved.file, resolved.adapter->base, {}};
  return {label, resolved.adapter->place, std::move(of)};
}

AdapterExport Platform::export_adapter(std::string_view adapter, std::string_view base,
                                       const std::filesystem::path& output) {
  return platform::export_adapter(adapter_source(adapter, base), output);
}

MergeReport Platform::merge_adapter(std::string_view adapter, std::string_view base,
                                    const MergeRequest& request, const ProgressSink& progress) {
  return platform::merge_adapter(adapter_source(adapter, base), request, progress);
}

SpeedTestResult Platform::speed_test(std::string_view model, const SpeedTestOptions& options) {
  return run_speed_test(*model_file(model), options);
}

MachineReport Platform::machine() const { return report_machine(); }
std::vector<FamilyReport> Platform::families() const { return report_families(); }

}  // namespace malina::platform
