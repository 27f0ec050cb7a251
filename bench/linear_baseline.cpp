// The linear baseline on public data sets, with time:
//   linear_baseline [--threads N] [--cost C] [--per-class N] [SET...]
// A line: set, rows and classes, how long the choice of the cost and the fit took together, the
// cost, what a text takes to answer, accuracy on the test part. Data: ../shared/data.
#include "eval/linear_baseline.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

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

void measure(const std::string& name, const Settings& settings, base::ThreadPool& pool) {
  TestData data = read_test_data(name);
  if (settings.per_class > 0) data.train = subset(data.train, settings);
  const auto begin = Clock::now();
  const auto baseline =
      LinearBaseline::fit(data.train.texts, data.train.labels, settings.options, pool);
  const double fit = seconds_since(begin);
  const auto asked = Clock::now();
  const ProbabilityTable table = baseline.probabilities(data.test.texts, pool);
  const double answer = seconds_since(asked);
  fmt::print(
      "{:<14} {:>6} rows {:>3} classes  fit {:6.1f} s  C {:>5}  {:5.1f} us a text  {:.2f} %\n",
      name, data.train.texts.size(), baseline.labels().size(), fit, baseline.cost(),
      answer * 1e6 / static_cast<double>(table.rows()), accuracy(baseline, table, data.test));
  std::fflush(stdout);
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
    for (const std::string& name : settings.sets) measure(name, settings, pool);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "linear_baseline: {}\n", error.what());
    return 1;
  }
}
