#include "eval/metrics.h"

#include <algorithm>
#include <iterator>

namespace malina::eval {

namespace {

std::uint64_t count_of(Counts counts, std::size_t i) { return counts.empty() ? 1 : counts[i]; }

double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

double accuracy(std::span<const std::uint32_t> expected, std::span<const std::uint32_t> predicted,
                Counts counts) {
  std::uint64_t right = 0, all = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const std::uint64_t count = count_of(counts, i);
    right += expected[i] == predicted[i] ? count : 0;
    all += count;
  }
  return ratio(static_cast<double>(right), static_cast<double>(all));
}

double macro_f1(std::span<const std::uint32_t> expected, std::span<const std::uint32_t> predicted,
                Counts counts) {
  std::uint32_t classes = 0;
  for (std::size_t i = 0; i < expected.size(); ++i)
    classes = std::max({classes, expected[i] + 1, predicted[i] + 1});
  std::vector<std::uint64_t> right(classes), named(classes);  // named: expected + predicted
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const std::uint64_t count = count_of(counts, i);
    named[expected[i]] += count;
    named[predicted[i]] += count;
    if (expected[i] == predicted[i]) right[expected[i]] += count;
  }
  double sum = 0, present = 0;
  for (std::uint32_t k = 0; k < classes; ++k) {
    if (named[k] == 0) continue;
    sum += 2 * static_cast<double>(right[k]) / static_cast<double>(named[k]);
    present += 1;
  }
  return ratio(sum, present);
}

SpanCounts count_spans(std::span<const MarkedSpan> expected,
                       std::span<const MarkedSpan> predicted) {
  std::vector<MarkedSpan> wanted(expected.begin(), expected.end());
  std::vector<MarkedSpan> given(predicted.begin(), predicted.end());
  std::sort(wanted.begin(), wanted.end());
  std::sort(given.begin(), given.end());
  std::vector<MarkedSpan> common;
  std::set_intersection(wanted.begin(), wanted.end(), given.begin(), given.end(),
                        std::back_inserter(common));
  return {static_cast<std::uint32_t>(wanted.size()), static_cast<std::uint32_t>(given.size()),
          static_cast<std::uint32_t>(common.size())};
}

SpanScore span_score(std::span<const SpanCounts> rows, Counts counts) {
  double expected = 0, predicted = 0, right = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto count = static_cast<double>(count_of(counts, i));
    expected += count * rows[i].expected;
    predicted += count * rows[i].predicted;
    right += count * rows[i].right;
  }
  return {ratio(right, predicted), ratio(right, expected), ratio(2 * right, expected + predicted)};
}

}  // namespace malina::eval
