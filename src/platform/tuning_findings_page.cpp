#include "platform/tuning_findings_page.h"

#include <fmt/format.h>

#include "platform/tuning_plots.h"

namespace malina::platform {

using tune::TuningReport;
using Rows = HtmlPage::Rows;

void add_search(HtmlPage& page, const TuningReport& report, double learning_rate) {
  page.add(
      "<h2>Search for the learning rate</h2>\n<p>Successive halving: the better half of each "
      "round, by macro F1 of the validation rows, was trained twice as long in the next. Taken: "
      "{:g}.</p>\n",
      learning_rate);
  Rows rows;
  for (const tune::SearchTrial& trial : report.search)
    rows.push_back({grouped(trial.epochs), fmt::format("{:g}", trial.learning_rate),
                    percent(trial.macro_f1), percent(trial.accuracy),
                    fmt::format("{:.4f}", trial.loss), trial.kept ? "kept" : ""});
  page.table("What was tried, in order",
             {{"epochs", true},
              {"learning rate", true},
              {"macro F1", true},
              {"right", true},
              {"loss", true},
              {"went on"}},
             rows);
}

void add_curves(HtmlPage& page, const TuningReport& report) {
  page.add_text(
      "<h2>What more labels would bring</h2>\n<p>Trained on nested parts of the training rows; a "
      "law error = a n<sup>-b</sup> + c through the errors on the validation rows. Forecasts are "
      "for as many more labels of the same kind, with 95 % intervals.</p>\n");
  page.add_text(figure(learning_curve_plot(report)));
  Rows rows;
  for (const tune::CurveReport& curve : report.curves)
    for (const auto& forecast : curve.forecasts)
      rows.push_back({tune::name(curve.members), grouped(forecast.more),
                      fmt::format("{:+.1f} points", 100 * forecast.gain.value),
                      fmt::format("{:+.1f} to {:+.1f}", 100 * forecast.gain.interval.low,
                                  100 * forecast.gain.interval.high)});
  page.table("Forecasts",
             {{"method"}, {"more labels", true}, {"more right", true}, {"interval", true}}, rows);
  rows.clear();
  for (const tune::CurveReport& curve : report.curves)
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

}  // namespace malina::platform
