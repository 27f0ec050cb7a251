#include "platform/full_tuning.h"

#include <fmt/format.h>

#include "base/atomic_file.h"
#include "base/atomic_folder.h"
#include "base/error.h"
#include "model/hugging_face_export.h"
#include "model/trainable_weights.h"
#include "platform/generation_tuning.h"
#include "platform/model_file.h"
#include "platform/processor.h"
#include "platform/tuned_output.h"
#include "platform/tuning_memory.h"
#include "platform/written_model.h"
#include "text/hugging_face_export.h"

namespace malina::platform {

using base::Error;
using base::Fault;
namespace fs = std::filesystem;

namespace {

class FullTuning {
 public:
  FullTuning(const TuneRequest& request, const ResolvedModel& base,
             std::shared_ptr<const ModelFile> file, Processor& processor, ModelStore& store,
             const ProgressSink& progress)
      : request_(request),
        base_(base),
        file_(std::move(file)),
        processor_(processor),
        store_(store),
        progress_(progress),
        stored_(request.output.empty()) {
    check_suffix(request.suffix);
    outcome_.name = full_name(base, request.suffix);
    output_ = place_of(stored_ ? store.home() / "tuned" / ("." + outcome_.name + ".gguf")
                               : request.output);
    outcome_.directory = output_;
    check_place();
    check_form();
  }

  TuneOutcome run(const tune::TuningEvents& events) {
    tune::GenerationRequest asked = generation_request();
    TuningMemory taken(request_);
    taken.take_inputs(nullptr, request_.tuning);
    {
      // What the job will take is known before the weights are loaded, but for longer rows.
      tune::GenerationTuning reader(nullptr, *file_->tokenizer, writing_template(*file_),
                                    processor_.device, asked);
      reader.read();
      asked.recipe = reader.request().recipe;
      const auto memory =
          tune::full_tuning_memory(file_->checkpoint, asked.recipe.rows, asked.recipe.recompute);
      const std::uint64_t usable = taken.left();
      outcome_.generation = reader.report();
      if (request_.dry_run) {
        outcome_.plan = plan(memory, usable, asked.recipe);
        if (!outcome_.plan->fits()) return std::move(outcome_);
      } else {
        memory.check(usable);
        taken.take(memory.bytes());
      }
    }
    if (!request_.dry_run) fs::create_directories(output_.parent_path());
    const auto model = load_for_tuning(model::in_float32(file_->checkpoint), processor_.device,
                                       processor_.pool, progress_);
    tune::GenerationTuning tuning(model, *file_->tokenizer, writing_template(*file_),
                                  processor_.device, asked);
    tuning.read();
    const tune::GenerationEvents told{.stage = events.stage, .training = events.training};
    if (request_.dry_run) {
      tuning.plan_time(*outcome_.plan, told);
      return std::move(outcome_);
    }
    outcome_.finished = tuning.run(told);
    outcome_.generation = tuning.report();
    if (!outcome_.finished) return std::move(outcome_);
    write(tuning);
    std::error_code ignored;
    fs::remove(tuning.request().snapshot, ignored);
    return std::move(outcome_);
  }

 private:
  bool is_gguf() const { return output_.extension() == ".gguf"; }

  tune::GenerationRequest generation_request() const {
    tune::GenerationRequest generation = request_.generation;
    generation.training = request_.tuning.training;
    generation.validation = request_.tuning.validation;
    generation.reading = request_.tuning.reading;
    generation.recipe.precision = math::Precision::exact;
    generation.snapshot = output_;
    generation.snapshot += ".snapshot";
    generation.base_digest = base_digest(base_);
    return generation;
  }

  // Now, and not after hours of training.
  void check_place() const {
    if (!stored_) {
      if (is_gguf() && fs::exists(output_) && !(request_.replace && fs::is_regular_file(output_)))
        throw Error(Fault::already_exists, fmt::format("{} is there already: --force replaces a "
                                                       "file",
                                                       output_.string()));
      if (!is_gguf()) check_free(output_, request_.replace);
      return;
    }
    const auto existing = store_.find(outcome_.name);
    if (!existing) return;
    if (!request_.replace)
      throw Error(Fault::already_exists,
                  fmt::format("the store has a {} already: --force replaces it", outcome_.name));
    if (existing->source != kTunedSource)
      throw Error(Fault::already_exists,
                  fmt::format("the store's {} is nothing that was tuned: --force does not replace "
                              "it, choose another --suffix",
                              outcome_.name));
  }

  void check_form() const {
    math::PlanningDevice device;
    const auto model = model::Model::plan(file_->checkpoint, device);
    model::check_trainable(*model);
    if (is_gguf()) return;
    model::as_hugging_face(file_->checkpoint, *model);
    model::hugging_face_config(*file_->checkpoint, *model);
    text::export_hugging_face_tokenizer(file_->checkpoint->metadata());
  }

  tune::TuningPlan plan(const tune::FullTuningMemory& memory, std::uint64_t usable,
                        const tune::Recipe& recipe) const {
    const tune::GenerationReport& report = *outcome_.generation;
    tune::TuningPlan plan;
    plan.epochs = recipe.epochs;
    plan.batch = recipe.batch;
    plan.steps = (report.training.examples + recipe.batch - 1) / recipe.batch * recipe.epochs;
    plan.positions = report.training.tokens;
    plan.memory = {{"weights in float32", memory.weights},
                   {"gradients", memory.gradients},
                   {"two moments of AdamW", memory.moments},
                   {"weights of the best epoch", memory.best},
                   {"activations", memory.activations}};
    plan.peak_bytes = memory.bytes();
    plan.usable_bytes = usable;
    return plan;
  }

  void write(const tune::GenerationTuning& tuning) {
    const tune::GenerationFacts facts{.name = outcome_.name,
                                      .base_name = base_name(base_),
                                      .base_digest = tuning.request().base_digest,
                                      .base_licence = licence_of(*file_),
                                      .created = time_now(),
                                      .version = MALINA_VERSION};
    const std::string manifest =
        manifest_json(tuning.report(), tuning.request(), facts)
            .dump(2, ' ', false, nlohmann::json::error_handler_t::replace) +
        "\n";
    const std::string card = model_card(tuning.report(), tuning.request(), facts);
    model::MetadataTexts texts{{"general.name", outcome_.name}};
    if (is_gguf()) {
      texts.emplace_back(kTunedKey, manifest);
      texts.emplace_back(kCardKey, card);
    }
    ModelFile written;  // all that writing looks at
    written.checkpoint = model::trained_checkpoint(tuning.weights(), std::move(texts));
    const model::Model& model = tuning.weights().model();
    ConvertRequest convert;
    convert.output = output_;
    convert.threads = request_.threads;
    convert.replace = true;  // what stands there was looked at
    if (is_gguf()) {
      write_model(written, model, convert, false, progress_);
      if (stored_) import();
      return;
    }
    place_directory(output_, [&](const fs::path& directory) {
      // Complete under another name first: the card is a part of it.
      convert.output = directory.parent_path() / ("." + directory.filename().string() + ".part");
      fs::remove_all(convert.output);
      write_model(written, model, convert, true, progress_);
      write_text(convert.output / "README.md", card);
      write_text(convert.output / kTunedModelName, manifest);
      fs::rename(convert.output, directory);
      base::sync_directory(directory.parent_path());
    });
  }

  static void write_text(const fs::path& path, const std::string& text) {
    base::AtomicFile file(path);
    file.write(text);
    file.commit();
  }

  // The old one goes only once the new one is complete on the disk beside it.
  void import() {
    if (request_.replace && store_.find(outcome_.name)) store_.remove(outcome_.name);
    store_.import_model(
        {.file = output_, .name = outcome_.name, .give = true, .source = std::string(kTunedSource)},
        progress_);
    std::error_code ignored;
    fs::remove(output_, ignored);
    outcome_.directory = store_.resolve(outcome_.name).file;
  }

  const TuneRequest& request_;
  const ResolvedModel& base_;
  std::shared_ptr<const ModelFile> file_;
  Processor& processor_;
  ModelStore& store_;
  const ProgressSink& progress_;
  const bool stored_;
  fs::path output_;
  TuneOutcome outcome_;
};

}  // namespace

std::string full_name(const ResolvedModel& base, const std::string& suffix) {
  return base_name(base) + "-" + suffix;
}

TuneOutcome run_full_tuning(const TuneRequest& request, const ResolvedModel& base,
                            std::shared_ptr<const ModelFile> file, Processor& processor,
                            ModelStore& store, const tune::TuningEvents& events,
                            const ProgressSink& progress) {
  return FullTuning(request, base, std::move(file), processor, store, progress).run(events);
}

}  // namespace malina::platform
