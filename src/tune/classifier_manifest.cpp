#include "tune/classifier_manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/json_text.h"
#include "tune/label_task.h"
#include "tune/manifest_reader.h"
#include "tune/recipe_json.h"

namespace malina::tune {

using base::Error;
using base::Fault;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::string_view kFormat = "malina classifier 1";

Json digests(std::span<const base::Digest> files) {
  Json list = Json::array();
  for (const base::Digest& digest : files) list.push_back(digest.text());
  return list;
}

Json to_json(const eval::Calibration& calibration, std::span<const std::string> labels) {
  Json json{{"temperature", calibration.temperature},
            {"conformal_quantile", calibration.conformal_quantile},
            {"conformal_coverage", calibration.conformal_coverage},
            {"abstention", abstention_json(calibration.abstention)},
            {"out_of_scope", nullptr}};
  if (calibration.out_of_scope) json["out_of_scope"] = labels[*calibration.out_of_scope];
  return json;
}

}  // namespace

namespace {

// Of the adapter that is kept.
const Recipe& kept_recipe(const TuningReport& report, const TuningRequest& request) {
  return report.uses(Method::labels) ? report.label_recipe.value() : request.recipe;
}

}  // namespace

Json manifest_json(const TuningReport& report, const TuningRequest& request,
                   const ManifestFacts& facts) {
  const bool has_base = report.uses_base();
  Json members = Json::array();
  for (std::size_t i = 0; i < report.chosen_rung().members.size(); ++i)
    members.push_back({{"method", name(report.chosen_rung().members[i])},
                       {"weight", report.chosen_rung().weights[i]}});
  Json question;
  if (report.uses(Method::labels))
    question = {{"instructions", kLabelInstructions},
                {"prior", report.label_prior.empty() ? Json() : Json(report.label_prior)}};
  return {{"format", kFormat},
          {"name", facts.name},
          {"members", members},
          {"labels", report.labels},
          {"text",
           {{"max_tokens", request.form.max_tokens},
            {"twice", request.form.twice},
            {"pooling", name(request.recipe.pooling)}}},
          {"question", question},
          {"base",
           {{"name", has_base ? facts.base_name : ""},
            {"digest", has_base ? facts.base_digest : ""},
            {"licence", has_base ? facts.base_licence : ""}}},
          {"calibration", to_json(report.calibration, report.labels)},
          {"data",
           {{"training_rows", report.training_rows},
            {"validation_rows", report.validation_rows},
            {"validation_from_training", report.validation_from_training},
            {"test_rows", report.test_rows},
            {"truncated", report.truncated},
            {"training", digests(report.training_files)},
            {"validation", digests(report.validation_files)},
            {"test", digests(report.test_files)},
            {"licence", report.licence}}},
          {"recipe", to_json(kept_recipe(report, request))},
          {"report", report_json(report)},
          {"created", facts.created},
          {"program", facts.version}};
}

std::string model_card(const TuningReport& report, const TuningRequest& request,
                       const ManifestFacts& facts) {
  std::string card = "---\n";
  if (report.uses_adapter()) {
    card += fmt::format("base_model: {}\nlibrary_name: peft\n", facts.base_name);
    if (!facts.base_licence.empty()) card += fmt::format("license: {}\n", facts.base_licence);
  }
  card += fmt::format("pipeline_tag: text-classification\n---\n\n# {}\n\n", facts.name);
  card += fmt::format("Answers one of {} labels. Chosen: {}, since {}.\n\n", report.labels.size(),
                      name(report.chosen_rung().members), report.reason);
  card +=
      "| method | accuracy on validation rows | 95 % interval | macro F1 | p against linear | "
      "Brier "
      "score | its p |\n|---|---|---|---|---|---|---|\n";
  for (const Rung& rung : report.rungs)
    card += fmt::format("| {} | {:.4f} | {:.4f} to {:.4f} | {:.4f} | {} | {:.4f} | {} |\n",
                        name(rung.members), rung.validation.accuracy.value,
                        rung.validation.accuracy.interval.low,
                        rung.validation.accuracy.interval.high, rung.validation.macro_f1,
                        rung.p_value ? fmt::format("{:.4g}", *rung.p_value) : "", rung.brier,
                        rung.brier_p_value ? fmt::format("{:.4g}", *rung.brier_p_value) : "");
  if (report.test)
    card += fmt::format(
        "\nTest rows, read once: accuracy {:.4f} ({:.4f} to {:.4f}), the linear "
        "baseline {:.4f}, p {:.4g}; expected calibration error {:.4f}.\n",
        report.test->chosen.accuracy.value, report.test->chosen.accuracy.interval.low,
        report.test->chosen.accuracy.interval.high, report.test->linear.accuracy.value,
        report.test->p_value, report.test->measures.expected_calibration_error);
  if (report.scope) {
    const bool tested = report.test && report.test->scope;
    const eval::ScopeMeasures& scope = tested ? *report.test->scope : *report.scope;
    card += fmt::format(
        "\nTexts of the label '{}' are out of scope: {:.4f} of these {} rows get no answer, and "
        "{:.4f} of the others the right one.\n",
        report.labels[*report.calibration.out_of_scope], scope.recall,
        tested ? "test" : "validation", scope.accuracy);
  }
  card += fmt::format(
      "\n## Data\n\n{} training rows, {} validation rows, {} test rows; licence: {}."
      "\n\n",
      report.training_rows, report.validation_rows, report.test_rows,
      report.licence.empty() ? "not stated" : report.licence);
  if (report.retrained)
    card += fmt::format(
        "When all had been chosen and calibrated, the adapter learned from all {} rows, also those "
        "held back for validation, for {} epochs.\n\n",
        report.retrained->rows, report.retrained->epochs);
  for (const base::Digest& digest : report.training_files)
    card += fmt::format("- training: `{}`\n", digest.text());
  if (report.uses_base())
    card += fmt::format("\n## Base\n\n{} `{}`, licence: {}.\n", facts.base_name, facts.base_digest,
                        facts.base_licence.empty() ? "not stated" : facts.base_licence);
  if (report.uses_adapter())
    card += fmt::format("\n## Recipe\n\n```json\n{}\n```\n",
                        to_json(kept_recipe(report, request)).dump(2));
  return card;
}

// --- reading ---

namespace {

Method method_of(const std::string& text, const ManifestReader& reader) {
  for (const Method method : {Method::linear, Method::probe, Method::lora, Method::labels})
    if (text == name(method)) return method;
  reader.fail("method", "is none that this program knows");
}

void read_members(const ManifestReader& reader, ClassifierManifest& manifest) {
  const std::string place = reader.name() + ", members";
  for (const Json& json : reader.at("members", Json::value_t::array)) {
    const ManifestReader member(json, place);
    manifest.members.push_back(method_of(member.text("method"), member));
    manifest.weights.push_back(member.number("weight", 0, 1e6));
  }
  if (manifest.members.empty() ||
      std::adjacent_find(manifest.members.begin(), manifest.members.end(),
                         std::greater_equal<>()) != manifest.members.end())
    reader.fail("members", "are not one or several of linear, probe, lora, in this order");
  if (manifest.uses(Method::labels) && manifest.members.size() > 1)
    reader.fail("members", "has others beside labels");
}

void read_question(const ManifestReader& reader, ClassifierManifest& manifest) {
  const ManifestReader question = reader.object("question");
  manifest.instructions = question.text("instructions");
  const Json& prior = question.member("prior");
  if (prior.is_null()) return;
  for (const Json& value : question.at("prior", Json::value_t::array)) {
    if (!value.is_number()) question.fail("prior", "holds something that is no number");
    manifest.prior.push_back(value);
    if (!std::isfinite(manifest.prior.back())) question.fail("prior", "is not finite");
  }
  if (manifest.prior.size() != manifest.labels.size())
    question.fail("prior", "does not have a number for each label");
}

eval::Calibration read_calibration(const ManifestReader& reader, const Json& json,
                                   std::span<const std::string> labels) {
  eval::Calibration calibration;
  calibration.temperature =
      reader.number("temperature", eval::kLeastTemperature, eval::kMostTemperature);
  calibration.conformal_quantile = reader.number("conformal_quantile", 0, 1);
  calibration.conformal_coverage = reader.number("conformal_coverage", 0, 1);
  const auto found = json.find("abstention");
  if (found != json.end() && !found->is_null()) {
    const ManifestReader abstention = reader.object("abstention");
    calibration.abstention = {.threshold = abstention.number("threshold", 0, std::nextafter(1, 2)),
                              .coverage = abstention.number("coverage", 0, 1),
                              .accuracy = abstention.number("accuracy", 0, 1)};
  }
  const auto scope = json.find("out_of_scope");  // not there in those of before
  if (scope != json.end() && !scope->is_null()) {
    const auto label = std::find(labels.begin(), labels.end(), reader.text("out_of_scope"));
    if (label == labels.end()) reader.fail("out_of_scope", "is none of the labels");
    calibration.out_of_scope = static_cast<std::uint32_t>(label - labels.begin());
  }
  return calibration;
}

// Classifiers of before the key was there read the last token.
Pooling read_pooling(const ManifestReader& reader, const Json& json) {
  if (!json.contains("pooling")) return Pooling::last;
  const std::string text = reader.text("pooling");
  for (const Pooling pooling : {Pooling::last, Pooling::mean})
    if (text == name(pooling)) return pooling;
  reader.fail("pooling", "is none that this program knows");
}

}  // namespace

bool ClassifierManifest::uses(Method method) const {
  return std::find(members.begin(), members.end(), method) != members.end();
}

ClassifierManifest parse_manifest(std::string_view text, const std::string& name) {
  const Json json = base::parse_json<Json>(text, name, {.bytes = std::size_t{64} << 20});
  const ManifestReader reader(json, name);
  if (reader.text("format") != kFormat)
    throw Error(Fault::unsupported, fmt::format("{}: it is not of the format '{}'", name, kFormat));
  ClassifierManifest manifest;
  read_members(reader, manifest);
  for (const Json& label : reader.at("labels", Json::value_t::array)) {
    if (!label.is_string()) reader.fail("labels", "holds something that is no text");
    manifest.labels.push_back(label);
  }
  if (manifest.labels.size() < 2 ||
      std::adjacent_find(manifest.labels.begin(), manifest.labels.end(), std::greater_equal<>()) !=
          manifest.labels.end())
    reader.fail("labels", "are not two or more in ascending order");
  manifest.form.max_tokens =
      static_cast<std::size_t>(reader.object("text").number("max_tokens", 3, 1 << 24));
  const Json& form = json.at("text");
  manifest.form.twice = form.contains("twice") && reader.object("text").flag("twice");
  manifest.pooling = read_pooling(reader.object("text"), form);
  if (manifest.uses(Method::labels)) read_question(reader, manifest);
  manifest.calibration =
      read_calibration(reader.object("calibration"), json.at("calibration"), manifest.labels);
  manifest.base_digest = reader.object("base").text("digest");
  manifest.base_name = reader.object("base").text("name");
  return manifest;
}

}  // namespace malina::tune
