#include "tune/span_judgement.h"

#include <algorithm>

namespace malina::tune {

namespace {

bool same(std::span<const FoundSpan> found, std::span<const FoundSpan> expected) {
  return std::equal(found.begin(), found.end(), expected.begin(), expected.end(),
                    [](const FoundSpan& a, const FoundSpan& b) { return a.same_place(b); });
}

bool stands_in(const FoundSpan& span, std::span<const FoundSpan> expected) {
  return std::any_of(expected.begin(), expected.end(),
                     [&](const FoundSpan& other) { return span.same_place(other); });
}

void count_text(const SpanTexts& data, std::size_t i, const ScoredText& scored,
                std::span<const std::string> types, eval::SpanCounts& counts) {
  count_spans(found_spans(eval::decode_tags(scored.scores).spans, scored.places, data.texts[i]),
              expected_spans(data.slots[i], types), counts);
}

// A column for "it is right" and one for "it is wrong", which is never the likelier one: a row's
// confidence is that of its answer, whatever it is. What is wrong has no probability, so that
// likelihoods and Brier scores of such tables say nothing.
struct AnswerTable {
  eval::ProbabilityTable table{.classes = 2, .values = {}};
  std::vector<std::uint32_t> labels;
  explicit AnswerTable(const Judged& judged) {
    for (std::size_t i = 0; i < judged.right.size(); ++i) {
      table.values.insert(table.values.end(), {judged.probability[i], 0});
      labels.push_back(judged.right[i] ? 0 : 1);
    }
  }
};

}  // namespace

Judged Judged::part(std::span<const std::size_t> rows) const {
  Judged chosen;
  for (const std::size_t i : rows) {
    chosen.right.push_back(right[i]);
    chosen.probability.push_back(probability[i]);
  }
  return chosen;
}

std::vector<FoundSpan> expected_spans(std::span<const Slot> slots,
                                      std::span<const std::string> types) {
  std::vector<FoundSpan> spans;
  for (const Slot& slot : slots) {
    const auto type = std::lower_bound(types.begin(), types.end(), slot.type);
    spans.push_back({.type = static_cast<std::size_t>(type - types.begin()) +
                             (type != types.end() && *type == slot.type ? 0 : types.size() + 1),
                     .begin = slot.start,
                     .end = slot.end});
  }
  return spans;
}

void count_spans(std::span<const FoundSpan> found, std::span<const FoundSpan> expected,
                 eval::SpanCounts& counts) {
  counts.found += found.size();
  counts.expected += expected.size();
  for (const FoundSpan& span : found) counts.right += stands_in(span, expected) ? 1 : 0;
}

std::vector<ScoredText> scored_by(const eval::LinearTagger& tagger,
                                  std::span<const std::string> texts) {
  std::vector<ScoredText> result;
  for (const std::string& text : texts)
    result.push_back({eval::words_of(text), tagger.scores(text)});
  return result;
}

Judged judge(const SpanTexts& data, std::span<const ScoredText> scored,
             std::span<const std::string> types, const SpanCalibration& calibration) {
  Judged judged;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const eval::TagAnswer answer = calibration.answer_of(scored[i].scores);
    judged.right.push_back(same(found_spans(answer.spans, scored[i].places, data.texts[i]),
                                expected_spans(data.slots[i], types)));
    judged.probability.push_back(answer.probability);
  }
  return judged;
}

Judged judge_spans(const SpanTexts& data, std::span<const ScoredText> scored,
                   std::span<const std::string> types, const SpanCalibration& calibration,
                   std::span<const std::size_t> rows) {
  Judged judged;
  for (const std::size_t i : rows) {
    const auto expected = expected_spans(data.slots[i], types);
    for (const FoundSpan& span : found_spans(calibration.answer_of(scored[i].scores).spans,
                                             scored[i].places, data.texts[i])) {
      judged.right.push_back(stands_in(span, expected));
      judged.probability.push_back(span.probability);
    }
  }
  return judged;
}

SpanMeasures measure(const SpanTexts& data, std::span<const ScoredText> scored,
                     std::span<const std::string> types) {
  SpanMeasures measures;
  for (std::size_t i = 0; i < data.size(); ++i)
    count_text(data, i, scored[i], types, measures.spans);
  const Judged judged = judge(data, scored, types);
  const auto right =
      static_cast<std::size_t>(std::count(judged.right.begin(), judged.right.end(), true));
  measures.exact = {.value = static_cast<double>(right) / static_cast<double>(data.size()),
                    .interval = eval::wilson_interval(right, data.size())};
  return measures;
}

double p_value(const Judged& first, const Judged& second) {
  eval::Discordance counts;
  for (std::size_t i = 0; i < first.right.size(); ++i) {
    counts.only_first += first.right[i] && !second.right[i] ? 1 : 0;
    counts.only_second += second.right[i] && !first.right[i] ? 1 : 0;
  }
  return eval::mcnemar_exact(counts.only_first, counts.only_second);
}

std::vector<double> span_errors(const SpanTexts& data, std::span<const ScoredText> scored,
                                std::span<const std::string> types) {
  std::vector<double> errors;
  for (std::size_t i = 0; i < data.size(); ++i) {
    eval::SpanCounts counts;
    count_text(data, i, scored[i], types, counts);
    errors.push_back(static_cast<double>(counts.found + counts.expected - 2 * counts.right));
  }
  return errors;
}

std::string_view beats(const SpanRung& linear, const SpanRung& adapter, double significance) {
  const double before = linear.validation.exact.value, after = adapter.validation.exact.value;
  if (after > before && *adapter.p_value < significance) return "texts that are wholly right";
  const bool fewer_errors =
      adapter.errors < linear.errors && *adapter.errors_p_value < significance;
  return after >= before && fewer_errors ? "wrong spans" : "";
}

SpanAnswers answers_of(const Judged& judged) {
  const AnswerTable answers(judged);
  const eval::CalibrationMeasures measures =
      eval::measure_calibration(answers.labels, answers.table);
  return {.calibration_error = measures.expected_calibration_error,
          .error_by_chance = measures.calibration_error_by_chance,
          .risk_coverage_area = measures.risk_coverage_area,
          .bins = measures.bins,
          .risk_coverage = thinned(eval::risk_coverage(answers.labels, answers.table))};
}

std::optional<eval::AbstentionThreshold> threshold_of(const Judged& judged, double target,
                                                      double guarantee) {
  const AnswerTable answers(judged);
  return eval::fit_abstention(answers.labels, answers.table, target, guarantee);
}

}  // namespace malina::tune
