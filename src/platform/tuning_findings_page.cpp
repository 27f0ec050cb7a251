#include "platform/tuning_findings_page.h"

#include <fmt/format.h>

#include "platform/tuning_plots.h"

namespace malina::platform {

using tune::TuningReport;
using Rows = HtmlPage::Rows;

std::string answered(const std::optional<eval::AbstentionThreshold>& abstention,
                     double target_accuracy, double guarantee, bool whole) {
  if (abstention)
    return fmt::format(
        "{} of the validation rows that this was set on, {} of these {} {}right (95 %: at least "
        "{}), where the probability of {} is at least {:.3f}; it abstains from the others",
        percent(abstention->coverage), percent(abstention->accuracy), grouped(abstention->rows),
        whole ? "wholly " : "", percent(abstention->accuracy_low()),
        whole ? "the whole answer" : "an answer", abstention->threshold);
  if (guarantee == 0) return fmt::format("none: no threshold reaches {}", percent(target_accuracy));
  return fmt::format("none: the rows prove no threshold that reaches {}, with a probability of {}",
                     percent(target_accuracy), percent(guarantee));
}

void add_search(HtmlPage& page, std::span<const tune::SearchTrial> trials, double learning_rate,
                std::string_view metric) {
  page.add(
      "<h2>Search for the learning rate</h2>\n<p>Successive halving: the better half of each "
      "round, by {} of the validation rows, was trained twice as long in the next. Taken: "
      "{:g}.</p>\n",
      metric, learning_rate);
  Rows rows;
  for (const tune::SearchTrial& trial : trials)
    rows.push_back({grouped(trial.epochs), fmt::format("{:g}", trial.learning_rate),
                    percent(trial.macro_f1), percent(trial.accuracy),
                    fmt::format("{:.4f}", trial.loss), trial.kept ? "kept" : ""});
  page.table("What was tried, in order",
             {{"epochs", true},
              {"learning rate", true},
              {std::string(metric), true},
              {"right", true},
              {"loss", true},
              {"went on"}},
             rows);
}

void add_curves(HtmlPage& page, std::span<const tune::CurveReport> curves) {
  page.add_text(
      "<h2>What more labels would bring</h2>\n<p>Trained on nested parts of the training rows; a "
      "law error = a n<sup>-b</sup> + c through the errors on the validation rows. Forecasts are "
      "for as many more labels of the same kind, with 95 % intervals.</p>\n");
  page.add_text(figure(learning_curve_plot(curves)));
  Rows rows;
  for (const tune::CurveReport& curve : curves)
    for (const auto& forecast : curve.forecasts)
      rows.push_back({tune::name(curve.members), grouped(forecast.more),
                      fmt::format("{:+.1f} points", 100 * forecast.gain.value),
                      fmt::format("{:+.1f} to {:+.1f}", 100 * forecast.gain.interval.low,
                                  100 * forecast.gain.interval.high)});
  page.table("Forecasts",
             {{"method"}, {"more labels", true}, {"more right", true}, {"interval", true}}, rows);
  rows.clear();
  for (const tune::CurveReport& curve : curves)
    for (const auto& point : curve.points)
      rows.push_back({tune::name(curve.members), grouped(point.rows), percent(point.error.value),
                      fmt::format("{} to {}", percent(point.error.interval.low),
                                  percent(point.error.interval.high))});
  page.details("Measured errors",
               {{"method"}, {"training rows", true}, {"wrong", true}, {"interval", true}}, rows);
}

void add_suspected(HtmlPage& page, const TuningReport& report) {
  page.add(
      "<h2>Labels that are perhaps wrong</h2>\n<p>Of training and validation rows, {} bear a label "
      "that the linear baseline, trained on the other rows, is confident is another (confident "
      "learning; Northcutt et al., 2021). The surest first{}.</p>\n",
      grouped(*report.suspected_rows),
      *report.suspected_rows > report.suspected.size()
          ? fmt::format("; {} are listed", report.suspected.size())
          : "");
  Rows rows;
  for (const tune::SuspectedRow& row : report.suspected)
    rows.push_back({foreign(report.data_files[row.file]), fmt::format("{}", row.line),
                    foreign(row.given), foreign(row.suggested), fmt::format("{:.2f}", row.margin)});
  page.table("Suspected rows",
             {{"file"}, {"line", true}, {"label"}, {"perhaps"}, {"how sure", true}}, rows);
}

std::string duration(double seconds) {
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::uint64_t>(seconds + 0.5);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

std::string sentence(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z')
    text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return escaped(text);
}

std::string bar(const eval::Estimate& share) {
  constexpr double kWidth = 160;
  return fmt::format(
      "<svg width=\"{0:.0f}\" height=\"14\" aria-hidden=\"true\"><rect class=\"area\" x=\"0\" "
      "y=\"2\" width=\"{1:.1f}\" height=\"10\"/><line class=\"whisker d1\" x1=\"{2:.1f}\" "
      "x2=\"{3:.1f}\" y1=\"7\" y2=\"7\"/></svg>",
      kWidth, kWidth * share.value, kWidth * share.interval.low, kWidth * share.interval.high);
}

std::string p_text(const std::optional<double>& p) { return p ? fmt::format("{:.3g}", *p) : ""; }

std::string with_interval(const eval::Estimate& share) {
  return fmt::format("{} ({} to {})", percent(share.value), percent(share.interval.low),
                     percent(share.interval.high));
}

namespace {

void add_bins(HtmlPage& page, std::string_view title, std::span<const eval::ReliabilityBin> bins) {
  Rows rows;
  for (const eval::ReliabilityBin& bin : bins)
    if (bin.rows > 0)
      rows.push_back({fmt::format("{} to {}", percent(bin.low), percent(bin.high)),
                      grouped(bin.rows), percent(bin.confidence), percent(bin.accuracy)});
  page.details(title, {{"confidence"}, {"rows", true}, {"mean confidence", true}, {"right", true}},
               rows);
}

void coverage_table(HtmlPage& page, std::string_view title,
                    std::span<const eval::RiskCoveragePoint> points) {
  Rows rows;
  double due = 0.1;
  for (const eval::RiskCoveragePoint& point : points) {
    if (point.coverage + 1e-9 < due) continue;
    rows.push_back({percent(point.coverage), fmt::format("{:.3f}", point.threshold),
                    fmt::format("{:.2f} %", 100 * point.risk)});
    while (due <= point.coverage + 1e-9) due += 0.1;
  }
  page.details(title, {{"answered", true}, {"threshold", true}, {"wrong among these", true}}, rows);
}

}  // namespace

void add_reliability(HtmlPage& page, std::span<const eval::ReliabilityBin> before,
                     std::span<const eval::ReliabilityBin> after,
                     std::span<const eval::ReliabilityBin> test) {
  page.add_text("<div class=\"plots\">\n");
  page.add_text(figure(reliability_plot(before, "Before")));
  page.add_text(figure(reliability_plot(after, "After, validation rows")));
  if (!test.empty()) page.add_text(figure(reliability_plot(test, "Test rows")));
  page.add_text("</div>\n");
  add_bins(page, "Bins of the validation rows, after", after);
  if (!test.empty()) add_bins(page, "Bins of the test rows", test);
}

void add_coverage(HtmlPage& page, std::span<const eval::RiskCoveragePoint> validation,
                  std::span<const eval::RiskCoveragePoint> test, std::optional<double> threshold) {
  page.add_text(
      "<h2>Answering only some</h2>\n<p>The rows of the greatest confidence are answered, the "
      "others go elsewhere: what is wrong among the answers.</p>\n<div class=\"plots\">\n");
  page.add_text(figure(risk_coverage_plot(validation, threshold, "Validation rows")));
  if (!test.empty()) page.add_text(figure(risk_coverage_plot(test, threshold, "Test rows")));
  page.add_text("</div>\n");
  coverage_table(page, "Answers of the validation rows", validation);
  if (!test.empty()) coverage_table(page, "Answers of the test rows", test);
}

void add_training(HtmlPage& page, std::string_view title,
                  std::span<const tune::EpochReport> history,
                  std::span<const tune::StepLoss> losses, const tune::Recipe& recipe,
                  const MetricNames& names) {
  page.add("<h2>{}</h2>\n<div class=\"plots\">\n", title);
  page.add_text(figure(loss_plot(history, losses)));
  page.add_text(figure(metric_plot(history, names)));
  page.add_text("</div>\n");
  Rows rows;
  for (const tune::EpochReport& epoch : history)
    rows.push_back({fmt::format("{}{}", epoch.epoch, epoch.best ? " (best so far)" : ""),
                    fmt::format("{:.4f}", epoch.train_loss), fmt::format("{:.4f}", epoch.loss),
                    percent(epoch.accuracy), percent(epoch.macro_f1)});
  page.details("Epochs",
               {{"epoch"},
                {"training loss", true},
                {"validation loss", true},
                {names.accuracy, true},
                {names.f1, true}},
               rows);
  page.begin_facts();
  page.fact("rank, alpha", fmt::format("{}, {:g}", recipe.adapter.rank, recipe.adapter.alpha));
  page.fact("learning rate", fmt::format("{:g}", recipe.learning_rate));
  page.fact("texts of a step", grouped(recipe.batch));
  page.fact("epochs at most", grouped(recipe.epochs));
  page.fact("seed", fmt::format("{}", recipe.seed));
  page.end_table();
}

void add_data(HtmlPage& page, const DataSources& sources) {
  page.add_text("<h2>Data and base</h2>\n");
  page.begin_facts();
  const auto part = [&](std::string_view name, std::size_t rows,
                        std::span<const base::Digest> files) {
    std::string text = grouped(rows) + " rows";
    for (const base::Digest& digest : files) text += "<br><code>" + digest.text() + "</code>";
    page.fact(name, text);
  };
  part("training", sources.training_rows, sources.training);
  part(sources.validation_from_training ? "validation, held back from training" : "validation",
       sources.validation_rows, sources.validation);
  if (sources.test_rows > 0) part("test", sources.test_rows, sources.test);
  page.fact("licence of the data",
            sources.licence.empty() ? "not stated" : foreign(sources.licence));
}

void add_origin(HtmlPage& page, std::string_view base_name, std::string_view base_digest,
                std::string_view base_licence, std::string_view version) {
  if (!base_digest.empty()) {
    page.fact("base",
              fmt::format("{}<br><code>{}</code>", foreign(base_name), escaped(base_digest)));
    page.fact("licence of the base", base_licence.empty() ? "not stated" : foreign(base_licence));
  }
  page.fact("program", "malina " + escaped(version));
  page.end_table();
}

}  // namespace malina::platform
