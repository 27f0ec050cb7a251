#include "tune/span_tuning.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "base/shuffle.h"
#include "base/stopwatch.h"
#include "decide/text_check.h"
#include "tune/second_training.h"
#include "tune/span_judgement.h"
#include "tune/span_tuning_part.h"

namespace malina::tune {

using base::Error;
using base::Fault;

namespace {

constexpr std::size_t kMostHeldBack = 2000;

std::vector<std::size_t> shuffled(std::size_t count, std::uint64_t seed) {
  base::Random random(seed);
  return base::shuffled_order(count, random);
}

}  // namespace

std::string_view name(SpanMethod method) {
  if (method == SpanMethod::automatic) return "auto";
  return method == SpanMethod::linear ? "linear" : "lora";
}

SpanTuning::SpanTuning(std::shared_ptr<const model::Model> model, const text::Tokenizer* tokenizer,
                       math::CpuDevice& device, SpanRequest request)
    : model_(std::move(model)),
      tokenizer_(tokenizer),
      device_(device),
      request_(std::move(request)) {
  leftovers_ = trial_files(request_.snapshot);
  if (!request_.snapshot.empty()) leftovers_.push_back(second_snapshot(request_.snapshot));
}

SpanTuning::~SpanTuning() = default;

void SpanTuning::read() {
  training_ = std::make_unique<Part>();
  validation_ = std::make_unique<Part>();
  training_->data = read_span_texts(request_.training, request_.reading);
  report_.training_files = training_->data.files;
  report_.licence = training_->data.licence;
  report_.overlapping = training_->data.overlapping;
  if (request_.validation.empty()) {
    hold_back();
  } else {
    validation_->data = read_span_texts(request_.validation, request_.reading);
    report_.validation_files = validation_->data.files;
  }
  if (!request_.test.empty()) {
    test_ = std::make_unique<Part>();
    test_->data = read_span_texts(request_.test, request_.reading);
    report_.test_files = test_->data.files;
    report_.test_rows = test_->data.size();
  }
  report_.types = types_of(training_->data);
  if (report_.types.empty())
    throw Error(Fault::invalid_argument, "no span is marked in the training data");
  check_validation_rows(validation_->data.size());
  report_.training_rows = training_->data.size();
  report_.validation_rows = validation_->data.size();
  const TrainingSchedule schedule = automatic_schedule(report_.training_rows);
  automatic_epochs_ = request_.recipe.epochs == 0;
  if (automatic_epochs_) request_.recipe.epochs = schedule.epochs;
  if (request_.recipe.batch == 0) request_.recipe.batch = schedule.batch;
  if (request_.method == SpanMethod::linear) return;
  for (Part* part : {training_.get(), validation_.get(), test_.get()}) {
    if (part == nullptr) continue;
    part->encoded = span_examples(part->data, report_.types, request_.form, *tokenizer_);
    report_.truncated += part->encoded.truncated;
  }
  request_.recipe.rows =
      std::max({request_.recipe.rows, training_->encoded.longest, validation_->encoded.longest});
}

void SpanTuning::hold_back() {
  const std::size_t rows = training_->data.size();
  std::vector<std::size_t> order = shuffled(rows, request_.recipe.seed + 2);
  const double held_back = held_back_share(rows) * static_cast<double>(rows);
  const auto asked = static_cast<std::size_t>(held_back + 0.5);
  const std::size_t count = std::min(std::clamp(asked, kFewestValidation, kMostHeldBack), rows / 2);
  const std::span all(order);
  std::sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count));
  std::sort(order.begin() + static_cast<std::ptrdiff_t>(count), order.end());
  validation_->data = training_->data.subset(all.first(count));
  training_->data = training_->data.subset(all.subspan(count));
  report_.validation_from_training = true;
}

void SpanTuning::add_rung(SpanMethod method, double seconds, const SpanEvents& events) {
  validation_scores_.push_back(scored(method, *validation_));
  const auto& first = validation_scores_.front();
  const auto& own = validation_scores_.back();
  SpanRung rung{.method = method,
                .validation = measure(validation_->data, own, report_.types),
                .seconds = seconds,
                .p_value = std::nullopt};
  const std::vector<double> errors = span_errors(validation_->data, own, report_.types);
  rung.errors =
      std::accumulate(errors.begin(), errors.end(), 0.0) / static_cast<double>(errors.size());
  if (!report_.rungs.empty()) {
    rung.p_value = p_value(judge(validation_->data, first, report_.types),
                           judge(validation_->data, own, report_.types));
    auto more = span_errors(validation_->data, first, report_.types);  // than these
    for (std::size_t i = 0; i < more.size(); ++i) more[i] -= errors[i];
    rung.errors_p_value = eval::paired_t_p(more);
  }
  report_.rungs.push_back(rung);
  if (events.rung) events.rung(report_.rungs.back());
}

std::vector<std::vector<std::uint32_t>> SpanTuning::tags_of(const SpanTexts& data,
                                                            std::size_t texts) const {
  std::vector<std::vector<std::uint32_t>> tags;
  for (std::size_t i = 0; i < texts; ++i) {
    const Places words = eval::words_of(data.texts[i]);
    tags.push_back(eval::tags_of(tagged_spans(data.slots[i], words, report_.types), words.size()));
  }
  return tags;
}

eval::LinearTagger SpanTuning::fitted(const SpanTexts& data) {
  return eval::LinearTagger::fit(data.texts, tags_of(data, data.size()), report_.types.size(),
                                 device_.context().pool, pause_.stop());
}

void SpanTuning::climb_linear(const SpanEvents& events) {
  if (events.stage) events.stage("linear tagger", 0, 1);
  const base::Stopwatch watch;
  linear_ = fitted(training_->data);
  add_rung(SpanMethod::linear, watch.seconds(), events);
  measure_curve(events);
}

// All that decides the examples, beside the recipe.
std::string SpanTuning::origin() const {
  std::string text =
      fmt::format("spans, base {} text {} max_tokens {} rows {} and {}\n", request_.base_digest,
                  request_.reading.text, request_.form.max_tokens, report_.training_rows,
                  report_.validation_rows);
  for (const base::Digest& digest : report_.training_files)
    text += "training " + digest.text() + "\n";
  for (const base::Digest& digest : report_.validation_files)
    text += "validation " + digest.text() + "\n";
  return text;
}

AdapterTrainingOptions SpanTuning::training_options() const {
  return {.recipe = request_.recipe,
          .patience = request_.patience,
          .snapshot = request_.snapshot,
          .origin = origin()};
}

bool SpanTuning::climb_adapter(const SpanEvents& events) {
  const base::Stopwatch watch;
  if (run_ == nullptr) {
    if (!search(events)) return false;
    run_ = std::make_unique<SpanTraining>(model_, device_, report_.types.size(),
                                          training_->encoded.examples,
                                          validation_->encoded.examples, training_options());
  }
  if (!run_->run(events.training)) return false;
  report_.history = run_->history();
  report_.losses = step_losses(run_->losses());
  adapter_ = run_->best();
  add_rung(SpanMethod::lora, watch.seconds(), events);
  return true;
}

std::vector<ScoredText> SpanTuning::scored(SpanMethod method, const Part& part) {
  if (method == SpanMethod::linear) return scored_by(*linear_, part.data.texts);
  return placed(run_->scores(part.encoded.examples), part);
}

// Tables of the part's examples; a text without tokens has none.
std::vector<ScoredText> SpanTuning::placed(std::vector<eval::ProbabilityTable> tables,
                                           const Part& part) {
  std::vector<ScoredText> result(part.data.size());
  for (std::size_t i = 0; i < tables.size(); ++i)
    result[part.encoded.rows[i]] = {part.encoded.places[i], std::move(tables[i])};
  return result;
}

bool SpanTuning::run(const SpanEvents& events) {
  return pause_.run(events.training.pause, [&] { return climb(events); });
}

bool SpanTuning::climb(const SpanEvents& events) {
  if (report_.rungs.empty()) climb_linear(events);
  const bool climbs = request_.method != SpanMethod::linear && !adapter_;  // not before a pause
  if (climbs && !climb_adapter(events)) return false;
  if (!measure_adapter_curve(events)) return false;
  choose();
  calibrate();
  if (!refit(events)) return false;
  if (test_ != nullptr) test();
  return true;
}

void SpanTuning::choose() {
  report_.chosen = report_.rungs.size() - 1;
  if (request_.method != SpanMethod::automatic) {
    report_.reason = fmt::format("{} was asked for", name(request_.method));
    return;
  }
  const std::string_view by =
      beats(report_.rungs.front(), report_.rungs.back(), request_.significance);
  if (by.empty()) report_.chosen = 0;
  report_.reason =
      by.empty()
          ? fmt::format(
                "lora is not significantly better (p < {}) on {} validation rows, neither by "
                "texts that are wholly right nor by wrong spans",
                request_.significance, report_.validation_rows)
          : fmt::format("it is significantly better than the linear tagger (p < {}), by {}",
                        request_.significance, by);
}

// A temperature makes sequences of tags likely; whether a whole answer is right, or a span in it,
// is another question.
void SpanTuning::scale(std::span<const ScoredText> scores, std::span<const std::size_t> rows) {
  SpanCalibration& calibration = report_.calibration;
  const Judged answers = judge(validation_->data, scores, report_.types, calibration).part(rows);
  const Judged spans = judge_spans(validation_->data, scores, report_.types, calibration, rows);
  calibration.answers = eval::fit_platt_scaling(answers.probability, answers.right);
  calibration.spans = eval::fit_platt_scaling(spans.probability, spans.right);
}

SpanCalibration sequences_of(const SpanCalibration& calibration) {
  return {.temperature = calibration.temperature, .abstention = {}};
}

eval::TagAnswer SpanCalibration::answer_of(const eval::ProbabilityTable& scores) const {
  eval::TagAnswer answer = eval::decode_tags(scores, temperature);
  answer.probability = answers.apply(answer.probability);
  for (eval::TaggedSpan& span : answer.spans)
    span.probability = std::max(spans.apply(span.probability), answer.probability);
  return answer;
}

// The temperature and the scalings on one half of the rows, the threshold on the other.
void SpanTuning::calibrate() {
  const auto& scores = validation_scores_[report_.chosen];
  const std::vector<std::size_t> order = shuffled(scores.size(), request_.recipe.seed + 3);
  const std::size_t half = scores.size() / 2;
  const auto loss = [&](double log_temperature) {
    double sum = 0;
    for (std::size_t k = 0; k < half; ++k) {
      const std::size_t i = order[k];
      const auto spans = tagged_spans(validation_->data.slots[i], scores[i].places, report_.types);
      const auto tags = eval::tags_of(spans, scores[i].places.size());
      if (!tags.empty())
        sum -= eval::log_probability(scores[i].scores, tags, std::exp(log_temperature));
    }
    return sum;
  };
  // Golden section: the loss is convex in 1/T, so it has one minimum.
  double low = std::log(eval::kLeastTemperature), high = std::log(eval::kMostTemperature);
  const double ratio = (std::sqrt(5.0) - 1) / 2;
  for (int step = 0; step < 30; ++step) {
    const double first = high - ratio * (high - low), second = low + ratio * (high - low);
    if (loss(first) < loss(second))
      high = second;
    else
      low = first;
  }
  report_.calibration.temperature = std::exp((low + high) / 2);
  scale(scores, std::span(order).first(half));
  const Judged after = judge(validation_->data, scores, report_.types, report_.calibration);
  report_.before = answers_of(judge(validation_->data, scores, report_.types));
  report_.after = answers_of(after);
  report_.calibration.abstention = threshold_of(after.part(std::span(order).subspan(half)),
                                                request_.target_accuracy, request_.guarantee);
}

Certificate SpanTuning::certificate() const {
  Certificate certificate;
  const SpanCalibration sequences = sequences_of(report_.calibration);
  const auto& scores = validation_scores_[report_.chosen];
  const std::size_t count = std::min(scores.size(), Certificate::kExamples);
  for (std::size_t k = 0; k < count; ++k) {
    const std::size_t i = k * scores.size() / count;
    const std::string& text = validation_->data.texts[i];
    if (!decide::refusal_of_text(text).empty()) continue;  // as whoever asks hears
    const eval::TagAnswer tags = sequences.answer_of(scores[i].scores);
    Certificate::Example& example = certificate.examples.emplace_back();
    example.text = text;
    if (report_.uses_adapter())
      example.tokens = tokens_digest(request_.form.tokens(*tokenizer_, text).ids);
    example.probabilities.push_back(tags.probability);
    for (const FoundSpan& found : found_spans(tags.spans, scores[i].places, text)) {
      example.spans.push_back({found.begin, found.end, report_.types[found.type]});
      example.probabilities.push_back(found.probability);
    }
  }
  return certificate;
}

void SpanTuning::test() {
  const auto linear = scored(SpanMethod::linear, *test_);
  const auto chosen = scored(report_.rungs[report_.chosen].method, *test_);
  const Judged judged = judge(test_->data, chosen, report_.types, report_.calibration);
  SpanReport::Test result{.chosen = measure(test_->data, chosen, report_.types),
                          .linear = measure(test_->data, linear, report_.types),
                          .p_value = p_value(judge(test_->data, linear, report_.types), judged),
                          .answers = answers_of(judged),
                          .types = {}};
  const double threshold =
      report_.calibration.abstention ? report_.calibration.abstention->threshold : 2;
  double answered = 0, right = 0;
  for (std::size_t i = 0; i < judged.right.size(); ++i) {
    if (judged.probability[i] < threshold) continue;
    answered += 1;
    right += judged.right[i] ? 1 : 0;
  }
  result.answered = answered / static_cast<double>(judged.right.size());
  result.answered_exact = answered > 0 ? right / answered : 0;
  for (std::size_t type = 0; type < report_.types.size(); ++type) {
    SpanReport::Test::Type of_type{.name = report_.types[type], .spans = {}};
    const auto only = [&](std::vector<FoundSpan> spans) {
      std::erase_if(spans, [&](const FoundSpan& span) { return span.type != type; });
      return spans;
    };
    for (std::size_t i = 0; i < test_->data.size(); ++i)
      count_spans(only(found_spans(eval::decode_tags(chosen[i].scores).spans, chosen[i].places,
                                   test_->data.texts[i])),
                  only(expected_spans(test_->data.slots[i], report_.types)), of_type.spans);
    result.types.push_back(std::move(of_type));
  }
  report_.test = std::move(result);
}

}  // namespace malina::tune
