#include "eval/tag_chain.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/log_sum.h"

namespace malina::eval {

namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

bool goes_on(std::size_t tag) { return tag > 0 && tag % 2 == 0; }

double log_sum(double a, double b) {
  if (a < b) std::swap(a, b);
  return b == kNever ? a : a + std::log1p(std::exp(b - a));
}

double log_sum(std::span<const double> values) { return base::log_sum(values); }

// Natural logarithms of what the units say, and of all ways to and from each unit's tag.
struct Lattice {
  explicit Lattice(const ProbabilityTable& scores, double temperature)
      : units(scores.rows()), tags(scores.classes), emitted(scores) {
    for (std::size_t i = 0; i < units; ++i) {
      const auto row = emitted.row(i);
      for (double& value : row) value /= temperature;
      const double sum = log_sum(row);
      for (double& value : row) value -= sum;
    }
    forward();
    backward();
    total = log_sum(before.row(units - 1));
  }

  void forward() {
    before = emitted;
    for (std::size_t tag = 0; tag < tags; ++tag)
      if (goes_on(tag)) before.row(0)[tag] = kNever;
    for (std::size_t i = 1; i < units; ++i) {
      const auto previous = before.row(i - 1);
      const double any = log_sum(previous);
      for (std::size_t tag = 0; tag < tags; ++tag)
        before.row(i)[tag] += goes_on(tag) ? log_sum(previous[tag - 1], previous[tag]) : any;
    }
  }

  // Of everything after the unit, given its tag.
  void backward() {
    after = emitted;
    std::fill(after.row(units - 1).begin(), after.row(units - 1).end(), 0.0);
    for (std::size_t i = units - 1; i > 0; --i) {
      std::vector<double> next(tags), ends;
      for (std::size_t tag = 0; tag < tags; ++tag)
        next[tag] = emitted.row(i)[tag] + after.row(i)[tag];
      for (std::size_t tag = 0; tag < tags; ++tag)
        if (!goes_on(tag)) ends.push_back(next[tag]);
      const double any = log_sum(ends);
      for (std::size_t tag = 0; tag < tags; ++tag) {
        const std::size_t inside = goes_on(tag) ? tag : tag + 1;
        after.row(i - 1)[tag] = tag == 0 ? any : log_sum(any, next[inside]);
      }
    }
  }

  // That exactly this span is there: it begins, goes on, and does not go on after its end.
  double span_probability(const TaggedSpan& span) const {
    const std::size_t begin = 1 + 2 * span.type, inside = begin + 1;
    double value = before.row(span.first)[begin];
    for (std::size_t i = span.first + 1; i < span.last; ++i) value += emitted.row(i)[inside];
    if (span.last < units) {
      std::vector<double> ends;
      for (std::size_t tag = 0; tag < tags; ++tag)
        if (!goes_on(tag)) ends.push_back(emitted.row(span.last)[tag] + after.row(span.last)[tag]);
      value += log_sum(ends);
    }
    return std::min(1.0, std::exp(value - total));
  }

  std::size_t units, tags;
  ProbabilityTable emitted, before, after;
  double total = 0;
};

std::vector<std::uint32_t> likeliest_tags(const ProbabilityTable& emitted) {
  const std::size_t units = emitted.rows(), tags = emitted.classes;
  ProbabilityTable best = emitted;
  std::vector<std::uint32_t> from(units * tags);
  for (std::size_t tag = 0; tag < tags; ++tag)
    if (goes_on(tag)) best.row(0)[tag] = kNever;
  for (std::size_t i = 1; i < units; ++i) {
    const auto previous = best.row(i - 1);
    const auto any = static_cast<std::uint32_t>(likeliest(previous));
    for (std::size_t tag = 0; tag < tags; ++tag) {
      std::uint32_t source = any;
      if (goes_on(tag))
        source = static_cast<std::uint32_t>(previous[tag] > previous[tag - 1] ? tag : tag - 1);
      best.row(i)[tag] += previous[source];
      from[i * tags + tag] = source;
    }
  }
  std::vector<std::uint32_t> path(units);
  path.back() = static_cast<std::uint32_t>(likeliest(best.row(units - 1)));
  for (std::size_t i = units - 1; i > 0; --i) path[i - 1] = from[i * tags + path[i]];
  return path;
}

}  // namespace

std::vector<TaggedSpan> spans_of(std::span<const std::uint32_t> tags) {
  std::vector<TaggedSpan> spans;
  for (std::size_t i = 0; i < tags.size(); ++i) {
    if (goes_on(tags[i]))
      spans.back().last = i + 1;
    else if (tags[i] > 0)
      spans.push_back({.type = (tags[i] - 1) / 2, .first = i, .last = i + 1});
  }
  return spans;
}

std::vector<std::uint32_t> tags_of(std::span<const TaggedSpan> spans, std::size_t units) {
  std::vector<std::uint32_t> tags(units, 0);
  for (const TaggedSpan& span : spans)
    for (std::size_t i = span.first; i < span.last; ++i)
      tags[i] = static_cast<std::uint32_t>(i == span.first ? 1 + 2 * span.type : 2 + 2 * span.type);
  return tags;
}

TagAnswer decode_tags(const ProbabilityTable& scores, double temperature) {
  if (scores.rows() == 0) return {};
  const Lattice lattice(scores, temperature);
  const auto path = likeliest_tags(lattice.emitted);
  TagAnswer answer{.spans = spans_of(path)};
  double value = -lattice.total;
  for (std::size_t i = 0; i < path.size(); ++i) value += lattice.emitted.row(i)[path[i]];
  answer.probability = std::min(1.0, std::exp(value));
  for (TaggedSpan& span : answer.spans) span.probability = lattice.span_probability(span);
  return answer;
}

double log_probability(const ProbabilityTable& scores, std::span<const std::uint32_t> tags,
                       double temperature) {
  if (scores.rows() == 0) return 0;
  const Lattice lattice(scores, temperature);
  double value = -lattice.total;
  for (std::size_t i = 0; i < tags.size(); ++i) value += lattice.emitted.row(i)[tags[i]];
  return value;
}

void SpanCounts::add(std::span<const TaggedSpan> found_spans,
                     std::span<const TaggedSpan> expected_spans) {
  found += found_spans.size();
  expected += expected_spans.size();
  for (const TaggedSpan& span : found_spans)
    right += std::any_of(expected_spans.begin(), expected_spans.end(),
                         [&](const TaggedSpan& other) { return span.same_place(other); })
                 ? 1
                 : 0;
}

double SpanCounts::precision() const {
  return found > 0 ? static_cast<double>(right) / static_cast<double>(found) : 0;
}

double SpanCounts::recall() const {
  return expected > 0 ? static_cast<double>(right) / static_cast<double>(expected) : 0;
}

double SpanCounts::f1() const {
  if (found + expected == 0) return 1;
  return 2 * static_cast<double>(right) / static_cast<double>(found + expected);
}

}  // namespace malina::eval
