#include "tune/tuning_report.h"

#include <algorithm>

namespace malina::tune {

using Json = nlohmann::ordered_json;

std::string_view name(Method method) {
  switch (method) {
    case Method::automatic:
      return "auto";
    case Method::linear:
      return "linear";
    case Method::probe:
      return "probe";
    case Method::lora:
      return "lora";
    case Method::labels:
      return "labels";
    case Method::blend:
      return "blend";
  }
  return "auto";
}

std::string name(std::span<const Method> members) {
  std::string joined;
  for (const Method method : members) {
    if (!joined.empty()) joined += "+";
    joined += name(method);
  }
  return joined;
}

bool TuningReport::uses(Method method) const {
  const auto& members = chosen_rung().members;
  return std::find(members.begin(), members.end(), method) != members.end();
}

const CurveReport* TuningReport::curve() const {
  for (const CurveReport& one : curves)
    if (one.members == chosen_rung().members) return &one;
  return curves.empty() ? nullptr : &curves.back();
}

std::vector<StepLoss> step_losses(std::span<const float> losses) {
  const std::size_t points = std::min(losses.size(), kMostPoints);
  std::vector<StepLoss> result;
  std::size_t first = 0;
  for (std::size_t i = 1; i <= points; ++i) {
    const std::size_t last = losses.size() * i / points;
    double sum = 0;
    for (std::size_t step = first; step < last; ++step) sum += double{losses[step]};
    result.push_back({last, sum / static_cast<double>(last - first)});
    first = last;
  }
  return result;
}

std::vector<eval::RiskCoveragePoint> thinned(std::vector<eval::RiskCoveragePoint> points) {
  if (points.size() <= kMostPoints) return points;
  std::vector<eval::RiskCoveragePoint> kept;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const double due = static_cast<double>(kept.size()) / static_cast<double>(kMostPoints - 1);
    if (i + 1 == points.size() || (points[i].coverage >= due && kept.size() + 1 < kMostPoints))
      kept.push_back(points[i]);
  }
  return kept;
}

AnswerReport answer_report(std::span<const std::uint32_t> expected,
                           const eval::ProbabilityTable& table) {
  const auto predicted = eval::answers(table);
  AnswerReport report{.classes = eval::class_scores(expected, predicted, table.classes),
                      .confusions = eval::confusions(expected, predicted),
                      .risk_coverage = eval::risk_coverage(expected, table)};
  if (report.confusions.size() > kMostConfusions) report.confusions.resize(kMostConfusions);
  report.risk_coverage = thinned(report.risk_coverage);
  return report;
}

Json abstention_json(const std::optional<eval::AbstentionThreshold>& abstention) {
  if (!abstention) return nullptr;
  return {{"threshold", abstention->threshold},
          {"coverage", abstention->coverage},
          {"accuracy", abstention->accuracy},
          {"accuracy_low", abstention->accuracy_low()},
          {"rows", abstention->rows}};
}

Json search_json(std::span<const SearchTrial> trials) {
  Json json = Json::array();
  for (const SearchTrial& trial : trials)
    json.push_back({{"learning_rate", trial.learning_rate},
                    {"epochs", trial.epochs},
                    {"loss", std::isfinite(trial.loss) ? Json(trial.loss) : Json()},
                    {"accuracy", trial.accuracy},
                    {"macro_f1", trial.macro_f1},
                    {"kept", trial.kept}});
  return json;
}

Json curve_json(const CurveReport& curve) {
  Json points = Json::array(), forecasts = Json::array();
  for (const CurveReport::Point& point : curve.points)
    points.push_back({{"rows", point.rows},
                      {"error", point.error.value},
                      {"error_low", point.error.interval.low},
                      {"error_high", point.error.interval.high}});
  for (const CurveReport::Forecast& forecast : curve.forecasts)
    forecasts.push_back({{"more", forecast.more},
                         {"gain", forecast.gain.value},
                         {"gain_low", forecast.gain.interval.low},
                         {"gain_high", forecast.gain.interval.high},
                         {"text", forecast.text}});
  return {{"method", name(curve.members)},
          {"points", points},
          {"law", {{"a", curve.law.a}, {"b", curve.law.b}, {"c", curve.law.c}}},
          {"forecasts", forecasts}};
}

Json bins_json(std::span<const eval::ReliabilityBin> bins) {
  Json json = Json::array();
  for (const eval::ReliabilityBin& bin : bins)
    json.push_back({{"low", bin.low},
                    {"high", bin.high},
                    {"rows", bin.rows},
                    {"confidence", bin.confidence},
                    {"accuracy", bin.accuracy}});
  return json;
}

Json risk_coverage_json(std::span<const eval::RiskCoveragePoint> points) {
  Json json = Json::array();
  for (const eval::RiskCoveragePoint& point : points)
    json.push_back(
        {{"threshold", point.threshold}, {"coverage", point.coverage}, {"risk", point.risk}});
  return json;
}

namespace {

Json to_json(const Measured& measured) {
  return {{"accuracy", measured.accuracy.value},
          {"accuracy_low", measured.accuracy.interval.low},
          {"accuracy_high", measured.accuracy.interval.high},
          {"macro_f1", measured.macro_f1}};
}

Json to_json(const eval::CalibrationMeasures& measures) {
  return {{"expected_calibration_error", measures.expected_calibration_error},
          {"calibration_error_by_chance", measures.calibration_error_by_chance},
          {"brier", measures.brier},
          {"negative_log_likelihood", measures.negative_log_likelihood},
          {"risk_coverage_area", measures.risk_coverage_area},
          {"bins", bins_json(measures.bins)}};
}

Json to_json(const AnswerReport& report, std::span<const std::string> labels) {
  Json classes = Json::array(), confusions = Json::array();
  for (std::size_t i = 0; i < report.classes.size(); ++i)
    classes.push_back({{"label", labels[i]},
                       {"rows", report.classes[i].rows},
                       {"answers", report.classes[i].predicted},
                       {"precision", report.classes[i].precision},
                       {"recall", report.classes[i].recall},
                       {"f1", report.classes[i].f1}});
  for (const eval::Confusion& pair : report.confusions)
    confusions.push_back({{"label", labels[pair.expected]},
                          {"answer", labels[pair.predicted]},
                          {"rows", pair.rows}});
  return {{"classes", classes},
          {"confusions", confusions},
          {"risk_coverage", risk_coverage_json(report.risk_coverage)}};
}

Json to_json(const std::optional<eval::ScopeMeasures>& scope) {
  if (!scope) return {};
  return {{"in_scope_rows", scope->in_scope},
          {"out_of_scope_rows", scope->out_of_scope},
          {"in_scope_accuracy", scope->accuracy},
          {"out_of_scope_recall", scope->recall},
          {"auroc", scope->auroc}};
}

Json to_json(std::span<const EpochReport> history) {
  Json epochs = Json::array();
  for (const EpochReport& epoch : history)
    epochs.push_back({{"epoch", epoch.epoch},
                      {"train_loss", epoch.train_loss},
                      {"loss", epoch.loss},
                      {"accuracy", epoch.accuracy},
                      {"macro_f1", epoch.macro_f1},
                      {"best", epoch.best}});
  return epochs;
}

Json to_json(std::span<const StepLoss> points) {
  Json losses = Json::array();
  for (const StepLoss& point : points)
    losses.push_back({{"step", point.step}, {"loss", point.loss}});
  return losses;
}

void add_findings(const TuningReport& report, Json& json) {
  json["learning_curves"] = Json::array();
  for (const CurveReport& curve : report.curves)
    json["learning_curves"].push_back(curve_json(curve));
  json["suspected_rows"] = report.suspected_rows ? Json(*report.suspected_rows) : Json();
  json["suspected"] = Json::array();
  for (const SuspectedRow& row : report.suspected)
    json["suspected"].push_back({{"file", report.data_files[row.file]},
                                 {"line", row.line},
                                 {"given", row.given},
                                 {"suggested", row.suggested},
                                 {"margin", row.margin}});
  json["abstention"] = abstention_json(report.calibration.abstention);
  json["search"] = search_json(report.search);
}

}  // namespace

Json report_json(const TuningReport& report) {
  Json rungs = Json::array();
  for (const Rung& rung : report.rungs) {
    Json entry{{"method", name(rung.members)},
               {"validation", to_json(rung.validation)},
               {"rows", rung.rows},
               {"seconds", rung.seconds},
               {"p_value", nullptr},
               {"brier", rung.brier},
               {"brier_p_value", nullptr}};
    if (rung.p_value) entry["p_value"] = *rung.p_value;
    if (rung.brier_p_value) entry["brier_p_value"] = *rung.brier_p_value;
    rungs.push_back(std::move(entry));
  }
  Json json{{"rungs", rungs},
            {"chosen", name(report.chosen_rung().members)},
            {"reason", report.reason},
            {"labels_left_out", nullptr},
            {"losses", to_json(report.losses)},
            {"epochs", to_json(report.history)},
            {"retrained", nullptr},
            {"retraining_left_out", nullptr},
            {"label_losses", to_json(report.label_losses)},
            {"label_epochs", to_json(report.label_history)},
            {"label_prior", !report.label_prior.empty()},
            {"before_calibration", to_json(report.before)},
            {"after_calibration", to_json(report.after)},
            {"answers", to_json(report.answers, report.labels)},
            {"scope", to_json(report.scope)},
            {"test", nullptr}};
  if (!report.labels_left_out.empty()) json["labels_left_out"] = report.labels_left_out;
  if (!report.retraining_left_out.empty()) json["retraining_left_out"] = report.retraining_left_out;
  if (report.retrained)
    json["retrained"] = {{"rows", report.retrained->rows}, {"epochs", report.retrained->epochs}};
  if (report.test) {
    const TuningReport::Test& test = *report.test;
    json["test"] = {{"rows", report.test_rows},
                    {"chosen", to_json(test.chosen)},
                    {"linear", to_json(test.linear)},
                    {"p_value", test.p_value},
                    {"calibration", to_json(test.measures)},
                    {"answers", to_json(test.answers, report.labels)},
                    {"answered", test.answered},
                    {"answered_accuracy", test.answered_accuracy},
                    {"set_coverage", test.set_coverage},
                    {"set_size", test.set_size},
                    {"scope", to_json(test.scope)}};
  }
  add_findings(report, json);
  return json;
}

}  // namespace malina::tune
