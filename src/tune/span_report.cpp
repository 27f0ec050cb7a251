// What a job of marked spans says of itself: as JSON, as the manifest of a tagger, as a model card.
#include <fmt/format.h>

#include "tune/recipe_json.h"
#include "tune/span_tagger.h"
#include "tune/span_tuning.h"

namespace malina::tune {

using Json = nlohmann::ordered_json;

namespace {

Json to_json(const eval::SpanCounts& counts) {
  return {{"precision", counts.precision()},
          {"recall", counts.recall()},
          {"f1", counts.f1()},
          {"right", counts.right},
          {"found", counts.found},
          {"expected", counts.expected}};
}

Json to_json(const SpanMeasures& measures) {
  Json json = to_json(measures.spans);
  json["exact"] = measures.exact.value;
  json["exact_low"] = measures.exact.interval.low;
  json["exact_high"] = measures.exact.interval.high;
  return json;
}

Json to_json(const SpanCalibration& calibration) {
  const auto scaling = [](const eval::PlattScaling& one) -> Json {
    return {{"slope", one.slope}, {"offset", one.offset}};
  };
  Json json{{"temperature", calibration.temperature},
            {"answers", scaling(calibration.answers)},
            {"spans", scaling(calibration.spans)},
            {"abstention", abstention_json(calibration.abstention)}};
  return json;
}

Json to_json(const SpanAnswers& answers) {
  return {{"expected_calibration_error", answers.calibration_error},
          {"calibration_error_by_chance", answers.error_by_chance},
          {"risk_coverage_area", answers.risk_coverage_area},
          {"bins", bins_json(answers.bins)},
          {"risk_coverage", risk_coverage_json(answers.risk_coverage)}};
}

Json test_json(const SpanReport& report) {
  if (!report.test) return nullptr;
  const SpanReport::Test& test = *report.test;
  Json types = Json::array();
  for (const auto& type : test.types) {
    Json entry{{"type", type.name}};
    entry.update(to_json(type.spans));
    types.push_back(std::move(entry));
  }
  return {{"rows", report.test_rows},
          {"chosen", to_json(test.chosen)},
          {"linear", to_json(test.linear)},
          {"p_value", test.p_value},
          {"expected_calibration_error", test.answers.calibration_error},
          {"calibration", to_json(test.answers)},
          {"answered", test.answered},
          {"answered_exact", test.answered_exact},
          {"types", types}};
}

Json digests_json(const std::vector<base::Digest>& digests) {
  Json list = Json::array();
  for (const base::Digest& digest : digests) list.push_back(digest.text());
  return list;
}

}  // namespace

Json report_json(const SpanReport& report) {
  Json rungs = Json::array(), epochs = Json::array();
  for (const SpanRung& rung : report.rungs) {
    rungs.push_back({{"method", name(rung.method)},
                     {"validation", to_json(rung.validation)},
                     {"seconds", rung.seconds},
                     {"p_value", nullptr},
                     {"errors", rung.errors},
                     {"errors_p_value", nullptr}});
    if (rung.p_value) rungs.back()["p_value"] = *rung.p_value;
    if (rung.errors_p_value) rungs.back()["errors_p_value"] = *rung.errors_p_value;
  }
  for (const EpochReport& epoch : report.history)
    epochs.push_back({{"epoch", epoch.epoch},
                      {"train_loss", epoch.train_loss},
                      {"loss", epoch.loss},
                      {"token_accuracy", epoch.accuracy},
                      {"f1", epoch.macro_f1},
                      {"best", epoch.best}});
  Json curves = Json::array();
  for (const CurveReport& curve : report.curves) curves.push_back(curve_json(curve));
  return {{"task", "spans"},
          {"types", report.types},
          {"training_rows", report.training_rows},
          {"validation_rows", report.validation_rows},
          {"validation_from_training", report.validation_from_training},
          {"overlapping_spans", report.overlapping},
          {"truncated", report.truncated},
          {"rungs", rungs},
          {"chosen", name(report.rungs.at(report.chosen).method)},
          {"reason", report.reason},
          {"epochs", epochs},
          {"refitted_rows", report.refitted_rows ? Json(*report.refitted_rows) : Json()},
          {"refitting_left_out",
           report.refitting_left_out.empty() ? Json() : Json(report.refitting_left_out)},
          {"calibration", to_json(report.calibration)},
          {"calibration_error_before", report.before.calibration_error},
          {"calibration_error_after", report.after.calibration_error},
          {"before_calibration", to_json(report.before)},
          {"after_calibration", to_json(report.after)},
          {"search", search_json(report.search)},
          {"learning_curves", curves},
          {"test", test_json(report)}};
}

Json manifest_json(const SpanReport& report, const SpanRequest& request, const SpanFacts& facts) {
  return {{"format", kSpanFormat},
          {"name", facts.name},
          {"created", facts.created},
          {"program", facts.version},
          {"method", name(report.rungs.at(report.chosen).method)},
          {"types", report.types},
          {"text", {{"max_tokens", request.form.max_tokens}}},
          {"calibration", to_json(report.calibration)},
          {"base",
           {{"name", report.uses_adapter() ? facts.base_name : ""},
            {"digest", report.uses_adapter() ? facts.base_digest : ""},
            {"licence", report.uses_adapter() ? facts.base_licence : ""}}},
          {"data",
           {{"training", digests_json(report.training_files)},
            {"validation", digests_json(report.validation_files)},
            {"test", digests_json(report.test_files)},
            {"licence", report.licence}}},
          {"recipe", to_json(request.recipe)},
          {"report", report_json(report)}};
}

std::string model_card(const SpanReport& report, const SpanRequest& request,
                       const SpanFacts& facts) {
  std::string card = "---\n";
  if (report.uses_adapter()) {
    card += fmt::format("base_model: {}\nlibrary_name: peft\n", facts.base_name);
    if (!facts.base_licence.empty()) card += fmt::format("license: {}\n", facts.base_licence);
  }
  card += fmt::format(
      "pipeline_tag: token-classification\n---\n\n# {}\n\nMarks spans of {} types. Chosen: {}, "
      "since {}.\n\n| method | F1 | precision | recall | whole texts right | p | wrong "
      "spans | its p |\n|---|---|---|---|---|---|---|---|\n",
      facts.name, report.types.size(), name(report.rungs.at(report.chosen).method), report.reason);
  for (const SpanRung& rung : report.rungs)
    card += fmt::format("| {} | {:.4f} | {:.4f} | {:.4f} | {:.4f} | {} | {:.4f} | {} |\n",
                        name(rung.method), rung.validation.spans.f1(),
                        rung.validation.spans.precision(), rung.validation.spans.recall(),
                        rung.validation.exact.value,
                        rung.p_value ? fmt::format("{:.4g}", *rung.p_value) : "", rung.errors,
                        rung.errors_p_value ? fmt::format("{:.4g}", *rung.errors_p_value) : "");
  if (report.test)
    card +=
        fmt::format("\nOn {} test rows, read once: F1 {:.4f} (linear: {:.4f}).\n", report.test_rows,
                    report.test->chosen.spans.f1(), report.test->linear.spans.f1());
  card += fmt::format("\n## Data\n\n{} training and {} validation rows. Licence: {}.\n\n",
                      report.training_rows, report.validation_rows,
                      report.licence.empty() ? "not stated" : report.licence);
  if (report.refitted_rows)
    card += fmt::format(
        "When all had been chosen and calibrated, the tagger learned from all {} rows, also those "
        "held back for validation.\n\n",
        *report.refitted_rows);
  if (!report.refitting_left_out.empty())
    card += fmt::format("A second training on all rows was left out: {}.\n\n",
                        report.refitting_left_out);
  for (const base::Digest& digest : report.training_files)
    card += fmt::format("- training: `{}`\n", digest.text());
  if (!report.uses_adapter()) return card;
  card += fmt::format("\n## Base\n\n{} `{}`, licence: {}.\n", facts.base_name, facts.base_digest,
                      facts.base_licence.empty() ? "not stated" : facts.base_licence);
  card += fmt::format(
      "\n## Use\n\nEach text is read twice, with a line end between; the tokens of the second are "
      "tagged: 0 outside, 1 + 2k begins a span of type k, 2 + 2k goes on with it.\n\n## "
      "Recipe\n\n```json\n{}\n```\n",
      to_json(request.recipe).dump(2));
  return card;
}

}  // namespace malina::tune
