// The linear baseline on public data sets, with time:
//   linear_baseline [--threads N] [--cost C] [--per-class N] [--seed S] [SET...]
// A line: set, rows and classes, how long the choice of the cost and the fit took together, the
// cost, what a text takes to answer, accuracy on the test part. Data: ../shared/data. Further:
//   --calibrate ROWS   holds so many training rows out and calibrates on them
//   --curve N          predicts all of the training data from a curve up to N rows a class
//   --labels           suspected wrong labels by five folds
//   --scope            how well CLINC150's texts out of scope are told from those within
#include "eval/linear_baseline.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "eval/calibration.h"
#include "eval/label_errors.h"
#include "eval/learning_curve.h"
#include "eval/stratified.h"
#include "eval/test_data_sets.h"

namespace {

using namespace malina;
using namespace malina::eval;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct Settings {
  unsigned threads = 0;
  LinearOptions options;
  std::size_t per_class = 0;
  std::size_t held_out = 0, curve_per_class = 0;
  bool labels = false, scope = false;
  std::vector<std::string> sets;
};

LabelledTexts subset(const LabelledTexts& all, const Settings& settings) {
  const ClassIndex classes = index_classes(all.labels);
  LabelledTexts chosen;
  for (const std::size_t i :
       per_class_subset(classes.of, settings.per_class, settings.options.seed))
    chosen.add(all.texts[i], all.labels[i]);
  return chosen;
}

double accuracy(const LinearBaseline& baseline, const ProbabilityTable& table,
                const LabelledTexts& test) {
  std::size_t right = 0;
  for (std::size_t i = 0; i < table.rows(); ++i)
    right += baseline.labels()[likeliest(table.row(i))] == test.labels[i];
  return 100.0 * static_cast<double>(right) / static_cast<double>(table.rows());
}

void print_fit(const std::string& name, const LabelledTexts& train, const LinearBaseline& baseline,
               double seconds) {
  fmt::print("{:<14} {:>6} rows {:>3} classes  fit {:6.1f} s  C {:>5}", name, train.texts.size(),
             baseline.labels().size(), seconds, baseline.cost());
  std::fflush(stdout);
}

void measure(const std::string& name, const Settings& settings, base::ThreadPool& pool) {
  TestData data = read_test_data(name);
  if (settings.per_class > 0) data.train = subset(data.train, settings);
  const auto begin = Clock::now();
  const auto baseline =
      LinearBaseline::fit(data.train.texts, data.train.labels, settings.options, pool);
  print_fit(name, data.train, baseline, seconds_since(begin));
  const auto asked = Clock::now();
  const ProbabilityTable table = baseline.probabilities(data.test.texts, pool);
  const double answer = seconds_since(asked);
  fmt::print("  {:5.1f} us a text  {:.2f} %\n", answer * 1e6 / static_cast<double>(table.rows()),
             accuracy(baseline, table, data.test));
}

LabelledTexts chosen(const LabelledTexts& all, std::span<const std::size_t> rows) {
  LabelledTexts result;
  for (const std::size_t i : rows) result.add(all.texts[i], all.labels[i]);
  return result;
}

// The classes of these labels as the baseline numbers them.
std::vector<std::uint32_t> classes_of(const LinearBaseline& baseline,
                                      std::span<const std::string> labels) {
  std::vector<std::uint32_t> result;
  for (const std::string& label : labels) {
    const auto names = baseline.labels();
    const auto found = std::lower_bound(names.begin(), names.end(), label);
    if (found == names.end() || *found != label)
      throw std::runtime_error("label " + label + " is not in the training part");
    result.push_back(static_cast<std::uint32_t>(found - names.begin()));
  }
  return result;
}

void calibrate(const std::string& name, const Settings& settings, base::ThreadPool& pool) {
  const TestData data = read_test_data(name);
  const auto held_out = static_cast<double>(settings.held_out);
  const double whole = static_cast<double>(data.train.texts.size());
  const auto parts =
      stratified_split(index_classes(data.train.labels).of,
                       std::vector<double>{whole - held_out, held_out}, settings.options.seed);
  const LabelledTexts train = chosen(data.train, parts[0]);
  const LabelledTexts validation = chosen(data.train, parts[1]);
  const auto begin = Clock::now();
  const auto baseline = LinearBaseline::fit(train.texts, train.labels, settings.options, pool);
  print_fit(name, train, baseline, seconds_since(begin));
  const auto labels = classes_of(baseline, validation.labels);
  const auto expected = classes_of(baseline, data.test.labels);
  const ProbabilityTable table = baseline.probabilities(validation.texts, pool);
  const ProbabilityTable raw = baseline.probabilities(data.test.texts, pool);
  for (const double guarantee : {0.0, 0.9}) {
    const Calibration fitted =
        fit_calibration(labels, table, {.guarantee = guarantee, .seed = settings.options.seed});
    const ProbabilityTable calibrated = with_temperature(raw, fitted.temperature);
    const auto before = measure_calibration(expected, raw);
    const auto after = measure_calibration(expected, calibrated);
    double answered = 0, right = 0, covered = 0, size = 0, single = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const auto row = calibrated.row(i);
      const std::size_t answer = likeliest(row);
      if (fitted.abstention && row[answer] >= fitted.abstention->threshold) {
        answered += 1;
        right += answer == expected[i];
      }
      const auto set = conformal_set(row, fitted.conformal_quantile);
      covered += std::find(set.begin(), set.end(), expected[i]) != set.end();
      size += static_cast<double>(set.size());
      single += set.size() == 1;
    }
    const auto rows = static_cast<double>(expected.size());
    fmt::print(
        "\n  guarantee {:.0f} %: T {:.3f}  ECE {:.4f} -> {:.4f}  Brier {:.4f} -> {:.4f}  AURC "
        "{:.4f}  "
        "answered {:.1f} % at {:.2f} %  conformal {:.1f} %, mean set {:.2f}, singletons {:.1f} %",
        100 * guarantee, fitted.temperature, before.expected_calibration_error,
        after.expected_calibration_error, before.brier, after.brier, after.risk_coverage_area,
        100 * answered / rows, answered > 0 ? 100 * right / answered : 0, 100 * covered / rows,
        size / rows, 100 * single / rows);
  }
  fmt::print("\n");
}

void curve(const std::string& name, const Settings& settings, base::ThreadPool& pool) {
  const TestData data = read_test_data(name);
  const ClassIndex classes = index_classes(data.train.labels);
  const auto subset_rows =
      per_class_subset(classes.of, settings.curve_per_class, settings.options.seed);
  const LabelledTexts train = chosen(data.train, subset_rows);
  const ClassIndex train_classes = index_classes(train.labels);
  const std::vector<std::uint32_t> expected = [&] {
    std::vector<std::uint32_t> result;
    for (const std::string& label : data.test.labels)
      result.push_back(static_cast<std::uint32_t>(
          std::lower_bound(classes.names.begin(), classes.names.end(), label) -
          classes.names.begin()));
    return result;
  }();
  const auto points = measure_learning_points(
      train_classes.of, expected, nested_sizes(train.texts.size(), classes.names.size()),
      settings.options.seed, [&](std::span<const std::size_t> rows) {
        const LabelledTexts part = chosen(train, rows);
        const auto baseline = LinearBaseline::fit(part.texts, part.labels, settings.options, pool);
        const ProbabilityTable table = baseline.probabilities(data.test.texts, pool);
        std::vector<std::uint32_t> answers;
        for (std::size_t i = 0; i < table.rows(); ++i)
          answers.push_back(static_cast<std::uint32_t>(likeliest(table.row(i))));
        fmt::print("{} rows: {:.2f} %\n", rows.size(), accuracy(baseline, table, data.test));
        std::fflush(stdout);
        return answers;
      });
  const auto fitted = LearningCurve::fit(points, {}, pool);
  const Estimate error = fitted.error(static_cast<double>(data.train.texts.size()));
  fmt::print(
      "{}: error = {:.3f} n^-{:.3f} + {:.4f}; {} rows predicted {:.2f} % ({:.2f} to {:.2f}); {}\n",
      name, fitted.law().a, fitted.law().b, fitted.law().c, data.train.texts.size(),
      100 - 100 * error.value, 100 - 100 * error.interval.high, 100 - 100 * error.interval.low,
      fitted.forecast(train.texts.size(), data.train.texts.size() - train.texts.size()));
}

void suspect(const std::string& name, const Settings& settings, base::ThreadPool& pool) {
  const TestData data = read_test_data(name);
  const ClassIndex classes = index_classes(data.train.labels);
  const auto begin = Clock::now();
  const ProbabilityTable table =
      out_of_fold_probabilities(data.train.texts, data.train.labels, 5, settings.options, pool);
  const auto suspected = suspected_label_errors(classes.of, table);
  fmt::print("{}: {} of {} labels suspected, {:.1f} s\n", name, suspected.size(), classes.of.size(),
             seconds_since(begin));
  for (std::size_t i = 0; i < std::min<std::size_t>(5, suspected.size()); ++i)
    fmt::print("  {:.2f} {} -> {}: {}\n", suspected[i].margin, classes.names[suspected[i].given],
               classes.names[suspected[i].suggested], data.train.texts[suspected[i].row]);
}

void scope(const Settings& settings, base::ThreadPool& pool) {
  const TestData data = read_test_data("clinc150");
  const auto json = nlohmann::json::parse(test_file("clinc150/data_full.json"));
  const LabelledTexts outside = read_clinc(json, "oos_test");
  const auto baseline =
      LinearBaseline::fit(data.train.texts, data.train.labels, settings.options, pool);
  const auto confidences = [&](const LabelledTexts& texts) {
    const ProbabilityTable table = baseline.probabilities(texts.texts, pool);
    std::vector<double> result;
    for (std::size_t i = 0; i < table.rows(); ++i)
      result.push_back(table.row(i)[likeliest(table.row(i))]);
    return result;
  };
  fmt::print("clinc150: AUROC of scope {:.4f}\n",
             auroc(confidences(data.test), confidences(outside)));
}

Settings settings_of(int count, char** words) {
  Settings settings;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const auto value = [&] { return i + 1 < count ? std::atof(words[++i]) : 0; };
    if (word == "--threads")
      settings.threads = static_cast<unsigned>(value());
    else if (word == "--cost")
      settings.options.cost = value();
    else if (word == "--seed")
      settings.options.seed = static_cast<std::uint64_t>(value());
    else if (word == "--per-class")
      settings.per_class = static_cast<std::size_t>(value());
    else if (word == "--calibrate")
      settings.held_out = static_cast<std::size_t>(value());
    else if (word == "--curve")
      settings.curve_per_class = static_cast<std::size_t>(value());
    else if (word == "--labels")
      settings.labels = true;
    else if (word == "--scope")
      settings.scope = true;
    else
      settings.sets.push_back(word);
  }
  if (settings.sets.empty())
    settings.sets = {"banking77", "cfpb", "snips", "clinc150", "sib200-czech", "sib200-english"};
  return settings;
}

}  // namespace

int main(int count, char** words) {
  try {
    const Settings settings = settings_of(count, words);
    base::ThreadPool pool(settings.threads);
    if (settings.scope) return scope(settings, pool), 0;
    for (const std::string& name : settings.sets) {
      if (settings.held_out > 0)
        calibrate(name, settings, pool);
      else if (settings.curve_per_class > 0)
        curve(name, settings, pool);
      else if (settings.labels)
        suspect(name, settings, pool);
      else
        measure(name, settings, pool);
    }
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "linear_baseline: {}\n", error.what());
    return 1;
  }
}
