#include "platform/generation_tuning.h"

#include <fmt/format.h>

#include "base/error.h"
#include "model/peft.h"
#include "platform/adapter_certificate.h"
#include "platform/classifier_certificate.h"
#include "platform/model_file.h"
#include "platform/processor.h"
#include "platform/tuned_output.h"
#include "platform/tuning_memory.h"

namespace malina::platform {

using base::Error;
using base::Fault;
namespace fs = std::filesystem;

namespace {

void write_adapter(const fs::path& directory, tune::GenerationTuning& tuning,
                   const tune::GenerationFacts& facts, const model::Model& model) {
  const tune::GenerationCertificate certificate = tuning.certificate();
  const std::string certified = to_text(certificate);
  nlohmann::ordered_json facts_of_all = manifest_json(tuning.report(), tuning.request(), facts);
  facts_of_all["certificate"] = certificate_facts(certificate, certified);
  const std::string manifest =
      facts_of_all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  model::write_peft(directory, tuning.result(), model,
                    {.base_name = facts.base_name,
                     .model_card = model_card(tuning.report(), tuning.request(), facts),
                     .extra = {{std::string(kAdapterManifestName), manifest},
                               {std::string(tune::kCertificateName), certified}}});
}

// The old one goes only once the new one is complete on the disk beside it.
void store_adapter(const fs::path& directory, const std::string& name, const ResolvedModel& base,
                   ModelStore& store, bool replace, const ProgressSink& progress) {
  if (replace && store.find(name)) store.remove(name);
  store.import_model({.file = directory,
                      .base = base.record->name,
                      .name = name,
                      .give = true,
                      .source = std::string(kTunedSource)},
                     progress);
  std::error_code ignored;
  fs::remove_all(directory, ignored);
}

}  // namespace

const text::ChatTemplate* writing_template(const ModelFile& file) {
  if (const auto found = file.templates.find(""); found != file.templates.end())
    return &found->second;
  if (const auto refused = file.refused_templates.find(""); refused != file.refused_templates.end())
    throw refused->second;
  return nullptr;
}

TuneOutcome run_generation_tuning(const TuneRequest& request, const ResolvedModel& base,
                                  std::shared_ptr<const ModelFile> file, Processor& processor,
                                  ModelStore& store, const tune::TuningEvents& events,
                                  const ProgressSink& progress) {
  check_suffix(request.suffix);
  const bool stored = request.output.empty();
  if (stored && !base.record)
    throw Error(
        Fault::invalid_argument,
        fmt::format("{} is not in the store: import it first, or give an --output", base.label));
  TuneOutcome outcome;
  outcome.name = base_name(base) + ":" + request.suffix;
  if (stored && store.find(outcome.name) && !request.replace)
    throw Error(Fault::already_exists,
                fmt::format("the store has a {} already: --force replaces it", outcome.name));
  // On its way into the store it stands where no classifier can.
  outcome.directory = place_of(stored ? store.home() / "tuned" / ("." + outcome.name + ".adapter")
                                      : request.output);
  if (!stored) check_free(outcome.directory, request.replace);
  if (!request.dry_run) fs::create_directories(outcome.directory.parent_path());

  tune::GenerationRequest generation = request.generation;
  generation.training = request.tuning.training;
  generation.validation = request.tuning.validation;
  generation.reading = request.tuning.reading;
  generation.snapshot = outcome.directory;
  generation.snapshot += ".snapshot";
  generation.base_digest = base_digest(base);
  TuningMemory memory(request);
  memory.take_inputs(file.get(), request.tuning);
  const auto model = load_for_tuning(*file, processor, progress);
  tune::GenerationTuning tuning(model, *file->tokenizer, writing_template(*file), processor.device,
                                std::move(generation));
  tuning.read();
  const tune::GenerationEvents told{.stage = events.stage, .training = events.training};
  if (request.dry_run) {
    outcome.plan = tuning.plan(told);
    outcome.generation = tuning.report();
    return outcome;
  }
  memory.take(tuning.settle_memory(memory.left()));
  outcome.finished = tuning.run(told);
  outcome.generation = tuning.report();
  if (!outcome.finished) return outcome;
  const tune::GenerationFacts facts{.name = outcome.name,
                                    .base_name = base_name(base),
                                    .base_digest = tuning.request().base_digest,
                                    .base_licence = licence_of(*file),
                                    .created = time_now(),
                                    .version = MALINA_VERSION};
  if (stored) {
    fs::remove_all(outcome.directory);  // what a crash may have left
    write_adapter(outcome.directory, tuning, facts, *model);
    store_adapter(outcome.directory, outcome.name, base, store, request.replace, progress);
    outcome.directory = store.resolve(outcome.name).adapter->place;
  } else {
    place_directory(outcome.directory, [&](const fs::path& directory) {
      write_adapter(directory, tuning, facts, *model);
    });
  }
  std::error_code ignored;
  fs::remove(tuning.request().snapshot, ignored);
  for (const fs::path& leftover : tuning.leftovers()) fs::remove(leftover, ignored);
  return outcome;
}

}  // namespace malina::platform
