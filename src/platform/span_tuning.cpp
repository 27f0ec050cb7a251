#include "platform/span_tuning.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/atomic_folder.h"
#include "base/error.h"
#include "decide/answer.h"
#include "decide/verbatim.h"
#include "model/peft.h"
#include "platform/classifier_certificate.h"
#include "platform/decider.h"
#include "platform/model_file.h"
#include "platform/processor.h"
#include "platform/span_report_page.h"
#include "platform/tuned_output.h"
#include "platform/tuning_memory.h"
#include "tune/span_tagger.h"

namespace malina::platform {

using base::Error;
using base::Fault;
namespace fs = std::filesystem;

namespace {

void write_tagger(const fs::path& directory, const tune::SpanTuning& tuning,
                  const tune::SpanFacts& facts, const std::string& page,
                  const model::Model* model) {
  const std::string card = model_card(tuning.report(), tuning.request(), facts);
  const tune::Certificate certificate = tuning.certificate();
  const std::string certified = to_text(certificate);
  nlohmann::ordered_json manifest = manifest_json(tuning.report(), tuning.request(), facts);
  manifest["certificate"] = certificate_facts(certificate, certified);
  const std::vector<model::PeftFiles::Extra> files{
      {std::string(tune::kSpanManifestName),
       manifest.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"},
      {std::string(tune::kCertificateName), certified},
      {std::string(tune::kReportName), page},
      {std::string(tune::kLinearTaggerName), tuning.linear().bytes()}};
  if (tuning.report().uses_adapter()) {
    model::write_peft(directory, tuning.adapter(), *model,
                      {.base_name = facts.base_name, .model_card = card, .extra = files});
    return;
  }
  base::AtomicFolder folder(directory);
  folder.write("README.md", card);
  for (const auto& file : files) folder.write(file.name, file.content);
  folder.commit();
}

tune::SpanRequest span_request(const TuneRequest& request, const fs::path& directory) {
  const tune::TuningRequest& given = request.tuning;
  tune::SpanRequest spans;
  spans.training = given.training;
  spans.validation = given.validation;
  spans.test = given.test;
  spans.reading = given.reading;
  spans.recipe = given.recipe;
  spans.recipe.pooling = tune::Pooling::last;
  spans.form.max_tokens = given.form.max_tokens;
  spans.patience = given.patience;
  spans.search = given.search;
  spans.curve = given.curve;
  spans.significance = given.significance;
  spans.target_accuracy = given.calibration.target_accuracy;
  spans.guarantee = given.calibration.guarantee;
  spans.snapshot = directory;
  spans.snapshot += ".snapshot";
  switch (given.method) {
    case tune::Method::automatic:
      break;
    case tune::Method::linear:
      spans.method = tune::SpanMethod::linear;
      break;
    case tune::Method::lora:
      spans.method = tune::SpanMethod::lora;
      break;
    default:
      throw Error(Fault::invalid_argument,
                  fmt::format("method {}: spans are learned by linear, lora or auto",
                              tune::name(given.method)));
  }
  return spans;
}

}  // namespace

QuestionPointer span_question(const std::vector<std::string>& types) {
  const nlohmann::ordered_json extract{
      {"type", "extract"}, {"instructions", fmt::format("Mark every {}.", fmt::join(types, ", "))}};
  return questions_of(extract, "types").at(0);
}

Decision span_decision(const decide::Question& question, const std::string& text,
                       const std::vector<std::string>& types, const tune::SpanAnswer& given) {
  decide::Answer answer;
  for (const tune::FoundSpan& found : given.spans) {
    decide::Span span = decide::span_of(text, {found.begin, found.end});
    span.type = types[found.type];
    span.probability = found.probability;
    answer.spans.push_back(std::move(span));
  }
  answer.probability = answer.confidence = given.probability;
  answer.label_mass = 1;
  answer.calibrated = true;
  answer.abstain = given.abstain;
  return decision_of(question, answer);
}

TuneOutcome run_span_tuning(const TuneRequest& request, const ResolvedModel* base,
                            std::shared_ptr<const ModelFile> file, Processor& processor,
                            const TunedClassifiers& classifiers, const tune::TuningEvents& events,
                            const ProgressSink& progress) {
  check_suffix(request.suffix);
  TuneOutcome outcome;
  outcome.name = base != nullptr ? base_name(*base) + ":" + request.suffix : request.suffix;
  outcome.directory =
      place_of(request.output.empty() ? classifiers.place(outcome.name) : request.output);
  check_free(outcome.directory, request.replace);
  if (!request.dry_run) fs::create_directories(outcome.directory.parent_path());

  tune::SpanRequest spans = span_request(request, outcome.directory);
  const bool needs_model = spans.method != tune::SpanMethod::linear;
  if (base != nullptr && needs_model) spans.base_digest = base_digest(*base);
  TuningMemory memory(request);
  memory.take_inputs(needs_model ? file.get() : nullptr, request.tuning);
  const auto model = file && needs_model ? load_for_tuning(*file, processor, progress) : nullptr;
  tune::SpanTuning tuning(model, file ? file->tokenizer.get() : nullptr, processor.device,
                          std::move(spans));
  tuning.read();
  span_question(tuning.report().types);  // refused now, not after hours of training
  tune::SpanEvents span_events{.stage = events.stage, .rung = {}, .training = events.training};
  if (request.dry_run) {
    outcome.plan = tuning.plan(span_events);
    outcome.spans = tuning.report();
    return outcome;
  }
  if (events.stage) events.stage("counting memory", 0, 1);
  memory.take(tuning.settle_memory(memory.left()));
  outcome.finished = tuning.run(span_events);
  outcome.spans = tuning.report();
  if (!outcome.finished) return outcome;
  const tune::SpanFacts facts{.name = outcome.name,
                              .base_name = base != nullptr ? base_name(*base) : "",
                              .base_digest = tuning.request().base_digest,
                              .base_licence = file ? licence_of(*file) : "",
                              .created = time_now(),
                              .version = MALINA_VERSION};
  outcome.page = span_report_page(tuning.report(), tuning.request(), facts);
  place_directory(outcome.directory, [&](const fs::path& directory) {
    write_tagger(directory, tuning, facts, outcome.page, model.get());
  });
  std::error_code ignored;
  fs::remove(tuning.request().snapshot, ignored);
  for (const fs::path& leftover : tuning.leftovers()) fs::remove(leftover, ignored);
  return outcome;
}

}  // namespace malina::platform
