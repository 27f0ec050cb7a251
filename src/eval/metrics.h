// How good answers are. Every metric takes how often each row counts (empty: once), so that a
// bootstrap draws rows by numbers and copies none.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace malina::eval {

using Counts = std::span<const std::uint32_t>;

// The share of rows whose prediction is what was expected; 0 of no rows. Sizes must be equal.
double accuracy(std::span<const std::uint32_t> expected, std::span<const std::uint32_t> predicted,
                Counts counts = {});

// The mean over classes of F1 = 2 TP / (2 TP + FP + FN), over those classes that are expected or
// predicted in a row that counts, as scikit-learn's f1_score(average="macro") has it; 0 of no rows.
double macro_f1(std::span<const std::uint32_t> expected, std::span<const std::uint32_t> predicted,
                Counts counts = {});

// A stretch of a text that was marked, in any unit (bytes or tokens), and of which kind it is.
struct MarkedSpan {
  std::size_t begin, end;
  std::uint32_t kind;
  auto operator<=>(const MarkedSpan&) const = default;
};

// What one row adds to the F1 of spans: a predicted span is right where its begin, end and kind all
// are those of an expected one, each of which is met once at most (exact match, as in CoNLL 2003).
struct SpanCounts {
  std::uint32_t expected = 0, predicted = 0, right = 0;
};
SpanCounts count_spans(std::span<const MarkedSpan> expected, std::span<const MarkedSpan> predicted);

// Over all spans of all rows (micro average).
struct SpanScore {
  double precision, recall, f1;  // 0 where there is nothing to divide by
};
SpanScore span_score(std::span<const SpanCounts> rows, Counts counts = {});

}  // namespace malina::eval
