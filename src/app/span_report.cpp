#include "app/span_report.h"

#include <fmt/format.h>

#include "app/progress_bar.h"
#include "app/tuning_report.h"

namespace malina::app {

namespace {

std::vector<std::string> row(std::string title, const tune::SpanMeasures& measures) {
  return {std::move(title),
          percent(measures.spans.f1()),
          percent(measures.spans.precision()),
          percent(measures.spans.recall()),
          percent(measures.exact.value),
          fmt::format("{} to {}", percent(measures.exact.interval.low),
                      percent(measures.exact.interval.high))};
}

void print_rungs(const tune::SpanReport& report, Console& console) {
  std::vector<std::vector<std::string>> rows{{"METHOD", "F1", "PRECISION", "RECALL", "WHOLE TEXTS",
                                              "95 % INTERVAL", "P", "WRONG SPANS", "TIME"}};
  for (const tune::SpanRung& rung : report.rungs) {
    rows.push_back(row(std::string(tune::name(rung.method)), rung.validation));
    rows.back().push_back(rung.p_value ? fmt::format("{:.3g}", *rung.p_value) : "");
    rows.back().push_back(fmt::format("{:.2f}", rung.errors));
    rows.back().push_back(human_seconds(rung.seconds));
  }
  console.write(table(rows, {1, 2, 3, 4, 6, 7, 8}));
}

void print_test(const tune::SpanReport& report, Console& console) {
  const tune::SpanReport::Test& test = *report.test;
  console.print("\nTest, {} rows, read once:\n", grouped(report.test_rows));
  std::vector<std::vector<std::string>> rows{{"  TYPE", "F1", "PRECISION", "RECALL", "SPANS"}};
  const auto add = [&](const std::string& title, const eval::SpanCounts& counts) {
    rows.push_back({"  " + title, percent(counts.f1()), percent(counts.precision()),
                    percent(counts.recall()), grouped(counts.expected)});
  };
  add("all", test.chosen.spans);
  if (report.chosen != 0) add("all, by the linear tagger", test.linear.spans);
  for (const auto& type : test.types) add(printable(type.name), type.spans);
  console.write(table(rows, {1, 2, 3, 4}));
  console.print("  {} of the texts wholly right ({} to {})", percent(test.chosen.exact.value),
                percent(test.chosen.exact.interval.low), percent(test.chosen.exact.interval.high));
  if (report.chosen != 0)
    console.print("; linear {}, McNemar's exact p = {:.3g}", percent(test.linear.exact.value),
                  test.p_value);
  console.print("\n  expected calibration error of whole answers {:.4f} (by chance: {:.4f})\n",
                test.answers.calibration_error, test.answers.error_by_chance);
  if (report.calibration.abstention)
    console.print("  answers {} of them, {} of these wholly right\n", percent(test.answered),
                  percent(test.answered_exact));
}

}  // namespace

void print_spans(const platform::TuneOutcome& outcome, Console& console) {
  const tune::SpanReport& report = *outcome.spans;
  console.print("{}: spans of {} types, {} training and {} validation rows{}\n",
                printable(outcome.name), report.types.size(), grouped(report.training_rows),
                grouped(report.validation_rows),
                report.validation_from_training ? " (held back from the training file)" : "");
  if (report.overlapping > 0)
    console.print("{} spans overlap a longer one and were left out\n", grouped(report.overlapping));
  if (report.truncated > 0)
    console.print("{} texts were longer than is read of them, and cut (--max-tokens)\n",
                  grouped(report.truncated));
  console.print("\n");
  print_rungs(report, console);
  console.print("\nChosen: {}; {}.\n", tune::name(report.rungs[report.chosen].method),
                report.reason);
  if (report.refitted_rows)
    console.print(
        "It has then learned from all {} rows; calibration and what is said of validation rows are "
        "of the one before.\n",
        grouped(*report.refitted_rows));
  if (!report.refitting_left_out.empty())
    console.print("A second training on all rows was left out: {}.\n",
                  printable(report.refitting_left_out));
  console.print(
      "Calibration on validation rows: temperature {:.2f}, expected calibration error of whole "
      "answers\n{:.4f} (before: {:.4f}; by chance: {:.4f})\n",
      report.calibration.temperature, report.after.calibration_error,
      report.before.calibration_error, report.after.error_by_chance);
  if (report.calibration.abstention)
    print_abstention(*report.calibration.abstention, "wholly ", console);
  else
    console.print(
        "No threshold reaches the accuracy asked for (--target-accuracy), or the rows prove none\n"
        "(--guarantee): it abstains always\n");
  print_bins(report.after.bins, console);
  print_coverage(report.after.risk_coverage, console);
  if (report.test) print_test(report, console);
  if (!report.search.empty())
    print_search(report.search, {"F1 OF SPANS", &tune::SearchTrial::macro_f1}, console);
  for (const tune::CurveReport& curve : report.curves) print_curve(curve, console);
  console.print("\nWritten to {}, with all of this and more in {}\n",
                printable(outcome.directory.string()), tune::kReportName);
}

}  // namespace malina::app
