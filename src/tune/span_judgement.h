// How the answers to many texts with spans are judged, within tune/span_*.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tune/span_tuning.h"

namespace malina::tune {

// Whether each text's whole answer is right, and how likely it was said to be.
struct Judged {
  std::vector<bool> right;
  std::vector<double> probability;

  Judged part(std::span<const std::size_t> rows) const;
};

// A type that was never learned is expected and cannot be found.
std::vector<FoundSpan> expected_spans(std::span<const Slot> slots,
                                      std::span<const std::string> types);
// Adds what was found, what was expected, and what of these is the same.
void count_spans(std::span<const FoundSpan> found, std::span<const FoundSpan> expected,
                 eval::SpanCounts& counts);

// In words.
std::vector<ScoredText> scored_by(const eval::LinearTagger& tagger,
                                  std::span<const std::string> texts);

Judged judge(const SpanTexts& data, std::span<const ScoredText> scored,
             std::span<const std::string> types, const SpanCalibration& calibration = {});
// The same of each span that was found in these rows.
Judged judge_spans(const SpanTexts& data, std::span<const ScoredText> scored,
                   std::span<const std::string> types, const SpanCalibration& calibration,
                   std::span<const std::size_t> rows);
SpanMeasures measure(const SpanTexts& data, std::span<const ScoredText> scored,
                     std::span<const std::string> types);
double p_value(const Judged& first, const Judged& second);  // McNemar's exact test
// Of each text: spans that were missed, and those found where there is none.
std::vector<double> span_errors(const SpanTexts& data, std::span<const ScoredText> scored,
                                std::span<const std::string> types);
// By what the adapter beats the linear tagger significantly: more texts are wholly right, or no
// fewer with fewer errors, which tells the two apart on fewer texts. "" where it does not.
std::string_view beats(const SpanRung& linear, const SpanRung& adapter, double significance);

// The order of whose beginnings a learning curve is made.
std::vector<std::size_t> curve_order(std::size_t texts, std::uint64_t seed);

// How far the probabilities of whole answers can be believed, and what is wrong where only the
// likeliest are given.
SpanAnswers answers_of(const Judged& judged);
std::optional<eval::AbstentionThreshold> threshold_of(const Judged& judged, double target,
                                                      double guarantee);

}  // namespace malina::tune
