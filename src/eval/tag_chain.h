// Spans of a text from scores of its units (words, or tokens): each unit is outside of every span,
// or begins one of some type, or goes on with one (Ramshaw and Marcus 1995, "Text chunking using
// transformation-based learning": IOB2).
//
// Tag 0 is outside, 1 + 2k begins a span of type k, 2 + 2k goes on with it, which is possible only
// after a unit that began it or went on with it. The probability of a sequence of tags is the
// product of its units' (softmax of the scores by the temperature), divided by the sum over all
// possible sequences: a conditional random field whose transitions are fixed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "eval/probability_table.h"

namespace malina::eval {

struct TaggedSpan {
  std::size_t type = 0, first = 0, last = 0;  // units [first, last)
  double probability = 0;                     // that exactly this span is there

  bool same_place(const TaggedSpan& other) const {
    return type == other.type && first == other.first && last == other.last;
  }
};

struct TagAnswer {
  std::vector<TaggedSpan> spans;  // of the likeliest sequence, ascending
  double probability = 1;         // of that sequence
};

inline std::size_t tag_count(std::size_t types) { return 1 + 2 * types; }

// The tags of spans that do not overlap, ascending.
std::vector<std::uint32_t> tags_of(std::span<const TaggedSpan> spans, std::size_t units);

// The spans of a possible sequence, without probabilities.
std::vector<TaggedSpan> spans_of(std::span<const std::uint32_t> tags);

// `scores`: a row for each unit, tag_count(types) columns, natural logarithms up to a constant of
// the row. No units: nothing, of probability 1.
TagAnswer decode_tags(const ProbabilityTable& scores, double temperature = 1);

// ln of the probability of a possible sequence.
double log_probability(const ProbabilityTable& scores, std::span<const std::uint32_t> tags,
                       double temperature = 1);

// Exact matches of type and place.
struct SpanCounts {
  std::size_t right = 0, found = 0, expected = 0;

  void add(std::span<const TaggedSpan> found_spans, std::span<const TaggedSpan> expected_spans);
  double precision() const;
  double recall() const;
  double f1() const;  // 0 where there is nothing; 1 where nothing is expected and found
};

}  // namespace malina::eval
