// What a job that teaches a model to write says of itself: as JSON and as a model card.
#include <fmt/format.h>

#include <cmath>

#include "tune/generation_tuning.h"
#include "tune/recipe_json.h"

namespace malina::tune {

using Json = nlohmann::ordered_json;

namespace {

Json part_json(const GenerationReport::Part& part) {
  Json files = Json::array();
  for (const base::Digest& digest : part.files) files.push_back(digest.text());
  return {{"rows", part.rows},     {"examples", part.examples},      {"too_long", part.too_long},
          {"tokens", part.tokens}, {"learned_tokens", part.learned}, {"files", files}};
}

Json evaluation_json(const Trainer::Evaluation& evaluation) {
  return {{"loss", evaluation.loss},
          {"perplexity", std::exp(evaluation.loss)},
          {"token_accuracy", evaluation.accuracy}};
}

}  // namespace

Json report_json(const GenerationReport& report) {
  Json history = Json::array();
  for (const EpochReport& epoch : report.history)
    history.push_back({{"epoch", epoch.epoch},
                       {"train_loss", epoch.train_loss},
                       {"loss", epoch.loss},
                       {"token_accuracy", epoch.accuracy},
                       {"best", epoch.best}});
  Json curves = Json::array();
  if (report.curve) curves.push_back(curve_json(*report.curve));
  return {{"task", "generation"},
          {"training", part_json(report.training)},
          {"validation", part_json(report.validation)},
          {"validation_from_training", report.validation_from_training},
          {"longest", report.longest},
          {"licence", report.licence},
          {"before", evaluation_json(report.before)},
          {"after", evaluation_json(report.after)},
          {"history", history},
          {"search", search_json(report.search)},
          {"learning_curves", curves}};
}

Json manifest_json(const GenerationReport& report, const GenerationRequest& request,
                   const GenerationFacts& facts) {
  const bool full = request.recipe.full;
  Json manifest{
      {"format", full ? "malina-model-1" : "malina-adapter-1"},
      {"name", facts.name},
      {"created", facts.created},
      {"program", facts.version},
      {"base",
       {{"name", facts.base_name}, {"digest", facts.base_digest}, {"licence", facts.base_licence}}},
      {"max_tokens", request.max_tokens},
      {"skip_long", request.skip_long},
      {"patience", request.patience},
      {"recipe", to_json(request.recipe)},
      {"report", report_json(report)}};
  if (full) manifest["encoding"] = "f32";
  return manifest;
}

std::string model_card(const GenerationReport& report, const GenerationRequest& request,
                       const GenerationFacts& facts) {
  const bool full = request.recipe.full;
  std::string card = fmt::format("---\nbase_model: {}\nlibrary_name: {}\n", facts.base_name,
                                 full ? "transformers" : "peft");
  if (!facts.base_licence.empty()) card += fmt::format("license: {}\n", facts.base_licence);
  card += fmt::format("pipeline_tag: text-generation\n---\n\n# {}\n\n", facts.name);
  card += fmt::format(
      "{} {}, trained on {} rows ({} tokens, {} of them learned), validated on "
      "{}{}.{}\n\n| on the validation rows | loss | perplexity | next token right "
      "|\n|---|---|---|---|\n",
      full ? "All weights of" : "A low-rank adapter for", facts.base_name, report.training.rows,
      report.training.tokens, report.training.learned, report.validation.rows,
      report.validation_from_training ? " that were held back from the same files" : "",
      full ? " The weights are stored in float32, as they were trained and measured." : "");
  for (const auto& [name, evaluation] :
       {std::pair("the base alone", &report.before),
        std::pair(full ? "as trained" : "with the adapter", &report.after)})
    card += fmt::format("| {} | {:.4f} | {:.3f} | {:.1f} % |\n", name, evaluation->loss,
                        std::exp(evaluation->loss), 100 * evaluation->accuracy);
  card += fmt::format("\n## Data\n\nLicence: {}.\n\n",
                      report.licence.empty() ? "not stated" : report.licence);
  for (const base::Digest& digest : report.training.files)
    card += fmt::format("- training: `{}`\n", digest.text());
  for (const base::Digest& digest : report.validation.files)
    card += fmt::format("- validation: `{}`\n", digest.text());
  card += fmt::format("\n## Base\n\n{} `{}`, licence: {}.\n", facts.base_name, facts.base_digest,
                      facts.base_licence.empty() ? "not stated" : facts.base_licence);
  card += fmt::format("\n## Recipe\n\n```json\n{}\n```\n", to_json(request.recipe).dump(2));
  return card;
}

}  // namespace malina::tune
