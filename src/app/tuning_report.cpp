#include "app/tuning_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "app/progress_bar.h"
#include "base/utf8.h"

namespace malina::app {

std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

using tune::TuningReport;

// One line for each bin that holds rows.
void print_bins(std::span<const eval::ReliabilityBin> bins, Console& console) {
  std::vector<std::vector<std::string>> rows{{"CONFIDENCE", "ROWS", "MEAN", "RIGHT", ""}};
  for (const eval::ReliabilityBin& bin : bins) {
    if (bin.rows == 0) continue;
    std::string bar(20, '.');
    std::fill_n(bar.begin(), static_cast<std::size_t>(20 * bin.accuracy + 0.5), '#');
    bar[std::min<std::size_t>(19, static_cast<std::size_t>(20 * bin.confidence))] = '|';
    rows.push_back({fmt::format("{:.0f} to {:.0f} %", 100 * bin.low, 100 * bin.high),
                    grouped(bin.rows), percent(bin.confidence), percent(bin.accuracy), bar});
  }
  console.print("\nOf answers as confident (|), so many are right (#):\n{}",
                table(rows, {1, 2, 3}));
}

// The first point at each tenth of the rows and beyond.
void print_coverage(std::span<const eval::RiskCoveragePoint> points, Console& console) {
  std::vector<std::string> answered{"ANSWERED"}, wrong{"WRONG"}, least{"CONFIDENCE"};
  double due = 0.5;
  for (const eval::RiskCoveragePoint& point : points) {
    if (point.coverage + 1e-9 < due) continue;
    answered.push_back(fmt::format("{:.0f} %", 100 * point.coverage));
    wrong.push_back(percent(point.risk));
    least.push_back(fmt::format("{:.3f}", point.threshold));
    while (due <= point.coverage + 1e-9) due += 0.1;
  }
  std::vector<std::size_t> right;
  for (std::size_t i = 1; i < answered.size(); ++i) right.push_back(i);
  console.print("\nWhere only the most confident are answered:\n{}",
                table({answered, wrong, least}, right));
}

void print_abstention(const eval::AbstentionThreshold& abstention, const char* wholly,
                      Console& console) {
  console.print(
      "Below a probability of {:.3f} it abstains: on the rows this was set on it answers {}, {} "
      "of these\n{} {}right; of others from there at least {}, with 95 % confidence, had it been "
      "set before\n",
      abstention.threshold, percent(abstention.coverage), percent(abstention.accuracy),
      grouped(abstention.rows), wholly, percent(abstention.accuracy_low()));
}

void print_search(std::span<const tune::SearchTrial> search, SearchMetric metric,
                  Console& console) {
  std::vector<std::vector<std::string>> rows{{"EPOCHS", "LEARNING RATE", metric.name, "LOSS", ""}};
  for (const tune::SearchTrial& trial : search)
    rows.push_back({grouped(trial.epochs), fmt::format("{:g}", trial.learning_rate),
                    percent(trial.*metric.value), fmt::format("{:.4f}", trial.loss),
                    trial.kept ? "kept" : ""});
  console.print("\nSearch for the learning rate:\n{}", table(rows, {0, 1, 2, 3}));
}

void print_curve(const tune::CurveReport& curve, Console& console) {
  print_curve(curve, fmt::format("More labels, for {}", tune::name(curve.members)), "", console);
}

void print_curve(const tune::CurveReport& curve, std::string_view title, std::string_view of,
                 Console& console) {
  console.print("\n{}:", title);
  for (const auto& point : curve.points)
    console.print("{} {} {}wrong of {} rows", &point == &curve.points.front() ? "" : ",",
                  percent(point.error.value), of, grouped(point.rows));
  console.print("\n");
  for (const auto& forecast : curve.forecasts) console.print("  {}\n", forecast.text);
}

namespace {

void print_rungs(const TuningReport& report, Console& console) {
  std::vector<std::vector<std::string>> rows{
      {"METHOD", "ROWS", "ACCURACY", "95 % INTERVAL", "MACRO F1", "P", "BRIER", "TIME"}};
  for (const tune::Rung& rung : report.rungs)
    rows.push_back({tune::name(rung.members), grouped(rung.rows),
                    percent(rung.validation.accuracy.value),
                    fmt::format("{} to {}", percent(rung.validation.accuracy.interval.low),
                                percent(rung.validation.accuracy.interval.high)),
                    percent(rung.validation.macro_f1),
                    rung.p_value ? fmt::format("{:.3g}", *rung.p_value) : "",
                    fmt::format("{:.3f}", rung.brier), human_seconds(rung.seconds)});
  console.write(table(rows, {1, 2, 4, 5, 6, 7}));
  if (report.rungs.front().all.rows() > 0)
    console.print(
        "\nSo few rows are measured in turn: each is answered by a model that learned from "
        "others.\n");
}

void print_test(const TuningReport& report, Console& console) {
  const TuningReport::Test& test = *report.test;
  console.print("\nTest, {} rows, read once:\n", report.test_rows);
  console.print("  {} right ({} to {}), macro F1 {}\n", percent(test.chosen.accuracy.value),
                percent(test.chosen.accuracy.interval.low),
                percent(test.chosen.accuracy.interval.high), percent(test.chosen.macro_f1));
  if (report.chosen != 0)
    console.print("  the linear baseline: {}; McNemar's exact p = {:.3g}\n",
                  percent(test.linear.accuracy.value), test.p_value);
  console.print("  expected calibration error {:.4f} (by chance: {:.4f})\n",
                test.measures.expected_calibration_error,
                test.measures.calibration_error_by_chance);
  if (report.calibration.abstention)
    console.print("  answers {} of them, {} of these right\n", percent(test.answered),
                  percent(test.answered_accuracy));
  console.print("  sets hold the right label for {}, with {:.2f} labels on average\n",
                percent(test.set_coverage), test.set_size);
}

// A label on one line, and not wider than the terminal likes.
std::string short_label(const std::string& label) {
  constexpr std::size_t kMost = 40;
  std::string shown = printable(label);
  if (shown.size() <= kMost) return shown;
  return std::string(base::whole_characters(shown, kMost - 3)) + "...";
}

void print_labels(const TuningReport& report, Console& console) {
  constexpr std::size_t kShown = 5;
  const tune::AnswerReport& answers = report.test ? report.test->answers : report.answers;
  std::vector<std::size_t> order(answers.classes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return answers.classes[a].f1 < answers.classes[b].f1;
  });
  std::vector<std::vector<std::string>> rows{
      {report.test ? "HARDEST LABELS OF TEST ROWS" : "HARDEST LABELS", "ROWS", "PRECISION",
       "RECALL", "F1"}};
  for (const std::size_t i : order) {
    if (rows.size() > kShown) break;
    const eval::ClassScore& score = answers.classes[i];
    if (score.f1 == 1) break;
    if (score.rows + score.predicted == 0) continue;  // of which nothing is known
    rows.push_back({short_label(report.labels[i]), grouped(score.rows), percent(score.precision),
                    percent(score.recall), percent(score.f1)});
  }
  if (rows.size() > 1) console.print("\n{}", table(rows, {1, 2, 3, 4}));
  rows = {{"LABEL", "TAKEN FOR", "ROWS"}};
  for (const eval::Confusion& pair : answers.confusions) {
    if (rows.size() > kShown) break;
    rows.push_back({short_label(report.labels[pair.expected]),
                    short_label(report.labels[pair.predicted]), grouped(pair.rows)});
  }
  if (rows.size() > 1) console.print("\n{}", table(rows, {2}));
}

void print_scope(const TuningReport& report, Console& console) {
  console.print(
      "Out of scope ('{}'): below a probability of {:.3f} it abstains, from {} of these texts; {} "
      "of the others get the right answer\n",
      printable(report.labels[*report.calibration.out_of_scope]),
      report.calibration.abstention->threshold, percent(report.scope->recall),
      percent(report.scope->accuracy));
  if (report.test && report.test->scope)
    console.print("On test rows: {} of these texts, {} of the others\n",
                  percent(report.test->scope->recall), percent(report.test->scope->accuracy));
}

void print_suspected(const TuningReport& report, Console& console) {
  constexpr std::size_t kShown = 5;
  const std::size_t count = *report.suspected_rows;
  console.print("\n{} perhaps wrong{}:\n",
                count == 1 ? "1 label is" : grouped(count) + " labels are",
                count == 1 ? "" : ", the surest first");
  std::vector<std::vector<std::string>> rows{{"LINE", "LABEL", "PERHAPS"}};
  for (const tune::SuspectedRow& row : report.suspected) {
    if (rows.size() > kShown) break;
    rows.push_back({fmt::format("{}:{}", printable(report.data_files[row.file]), row.line),
                    short_label(row.given), short_label(row.suggested)});
  }
  console.write(table(rows));
}

}  // namespace

void print_tuning_report(const platform::TuneOutcome& outcome, Console& console) {
  const TuningReport& report = outcome.report;
  console.print("{}: {} labels, {} training and {} validation rows{}\n\n", printable(outcome.name),
                report.labels.size(), grouped(report.training_rows),
                grouped(report.validation_rows),
                report.validation_from_training ? " (held back from the training file)" : "");
  if (report.truncated > 0)
    console.print("{} texts were longer than is read of them, and cut (--max-tokens)\n\n",
                  report.truncated);
  print_rungs(report, console);
  console.print("\nChosen: {}; {}.\n", tune::name(report.chosen_rung().members), report.reason);
  if (!report.retraining_left_out.empty())
    console.print("A second training on all rows was left out: {}.\n",
                  printable(report.retraining_left_out));
  if (report.retrained)
    console.print(
        "Its adapter has then learned from all {} rows; calibration and what is said of validation "
        "rows are of the one before.\n",
        grouped(report.retrained->rows));
  if (!report.labels_left_out.empty())
    console.print("Writing labels was left out: {}.\n", printable(report.labels_left_out));
  console.print(
      "Calibration on validation rows: temperature {:.2f}, expected calibration error {:.4f} "
      "(before: {:.4f}; by chance: {:.4f})\n",
      report.calibration.temperature, report.after.expected_calibration_error,
      report.before.expected_calibration_error, report.after.calibration_error_by_chance);
  if (report.scope)
    print_scope(report, console);
  else if (report.calibration.abstention)
    print_abstention(*report.calibration.abstention, "", console);
  else
    console.print(
        "No threshold reaches the accuracy asked for (--target-accuracy), or the rows prove none\n"
        "(--guarantee): it abstains always\n");
  if (!report.search.empty())
    print_search(report.search, {"MACRO F1", &tune::SearchTrial::macro_f1}, console);
  print_bins(report.after.bins, console);
  print_coverage(report.answers.risk_coverage, console);
  if (report.test) print_test(report, console);
  print_labels(report, console);
  if (!report.suspected.empty()) print_suspected(report, console);
  if (report.curve() != nullptr) print_curve(*report.curve(), console);
  console.print("\nWritten to {}, with all of this and more in {}\n",
                printable(outcome.directory.string()), tune::kReportName);
}

}  // namespace malina::app
