#include "tune/tuning.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/stopwatch.h"
#include "decide/text_check.h"
#include "eval/blend.h"
#include "eval/metrics.h"
#include "tune/frozen_features.h"
#include "tune/label_answers.h"
#include "tune/label_training.h"
#include "tune/second_training.h"
#include "tune/tuning_part.h"

namespace malina::tune {

namespace {

Measured measure(std::span<const std::uint32_t> expected, const eval::ProbabilityTable& table) {
  const auto predicted = eval::answers(table);
  std::size_t right = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) right += expected[i] == predicted[i] ? 1 : 0;
  return {.accuracy = {eval::accuracy(expected, predicted),
                       eval::wilson_interval(right, expected.size())},
          .macro_f1 = eval::macro_f1(expected, predicted)};
}

eval::ProbabilityTable last_rows(const eval::ProbabilityTable& table, std::size_t count) {
  const auto values = static_cast<std::ptrdiff_t>(count * table.classes);
  return {table.classes, {table.values.end() - values, table.values.end()}};
}

eval::ProbabilityTable rows_of(const eval::ProbabilityTable& table,
                               std::span<const std::size_t> rows) {
  eval::ProbabilityTable some{.classes = table.classes, .values = {}};
  for (const std::size_t row : rows) {
    const auto values = table.row(row);
    some.values.insert(some.values.end(), values.begin(), values.end());
  }
  return some;
}

}  // namespace

ScoreProgress progress_of(std::string_view stage, std::size_t total, const TuningEvents& events) {
  return [stage = std::string(stage), total, &events](std::size_t done) {
    if (events.training.pause && events.training.pause()) return false;
    if (events.stage) events.stage(stage, done, total);
    return true;
  };
}

Comparison compare(std::span<const std::uint32_t> expected, const eval::ProbabilityTable& first,
                   const eval::ProbabilityTable& second) {
  const auto counts = eval::discordance(expected, eval::answers(first), eval::answers(second));
  return {eval::mcnemar_exact(counts.only_first, counts.only_second),
          counts.only_second > counts.only_first, counts.only_second < counts.only_first};
}

Tuning::Tuning(std::shared_ptr<const model::Model> model, const text::Tokenizer* tokenizer,
               math::CpuDevice& device, TuningRequest request)
    : model_(std::move(model)),
      tokenizer_(tokenizer),
      device_(device),
      request_(std::move(request)),
      trial_files_(trial_files(request_.snapshot)),
      asked_rate_(request_.recipe.learning_rate) {
  if (!request_.snapshot.empty()) trial_files_.push_back(second_snapshot(request_.snapshot));
}

Tuning::Tuning(Tuning&&) noexcept = default;
Tuning::~Tuning() = default;

bool Tuning::wants(Method method) const {
  if (request_.method == Method::automatic) return method <= request_.up_to;
  if (request_.method == Method::blend) return method != Method::labels;
  return request_.method == method;
}

void Tuning::add_rung(Rung rung, const TuningEvents& events) {
  const bool all = rung.all.rows() > 0;
  rung.validation =
      all ? measure(all_classes_, rung.all) : measure(validation_->classes, rung.probabilities);
  rung.rows = all ? all_classes_.size() : validation_->classes.size();
  rung.brier = mean_brier(rung_rows(), rung);
  if (!report_.rungs.empty()) {
    const Rung& linear = report_.rungs.front();
    rung.p_value = compare(rung_rows(), linear, rung).p_value;
    rung.brier_p_value = compare_probabilities(rung_rows(), linear, rung).p_value;
  }
  report_.rungs.push_back(std::move(rung));
  if (events.rung) events.rung(report_.rungs.back());
}

bool Tuning::add_member(Method method, double seconds, const TuningEvents& events) {
  auto probabilities = probabilities_of(
      method, *validation_, progress_of("validation rows", validation_->data.size(), events));
  if (!probabilities) return false;
  add_rung({.members = {method},
            .weights = {1},
            .validation = {},
            .seconds = seconds,
            .p_value = {},
            .probabilities = std::move(*probabilities)},
           events);
  return true;
}

void Tuning::add_cheap(Method method, eval::ProbabilityTable all, double seconds,
                       const TuningEvents& events) {
  if (all.rows() == 0) {
    add_member(method, seconds, events);  // no text is read again, so that nothing can stop it
    return;
  }
  add_rung({.members = {method},
            .weights = {1},
            .validation = {},
            .seconds = seconds,
            .p_value = {},
            .probabilities = last_rows(all, validation_->classes.size()),
            .all = std::move(all)},
           events);
}

// All that were trained so far, together.
void Tuning::add_blend(const TuningEvents& events) {
  std::vector<const eval::ProbabilityTable*> tables, all;
  Rung blended;
  for (const Rung& rung : report_.rungs) {
    if (rung.members.size() > 1) continue;
    blended.members.push_back(rung.members.front());
    blended.seconds += rung.seconds;
    tables.push_back(&rung.probabilities);
    if (rung.all.rows() > 0) all.push_back(&rung.all);
  }
  const std::uint64_t seed = request_.recipe.seed;
  if (all.size() == tables.size()) {
    blended.weights = eval::fit_blend(all_classes_, all);
    blended.all = eval::cross_fitted_blend(all_classes_, all, seed);
    blended.probabilities = last_rows(blended.all, validation_->classes.size());
  } else {
    blended.weights = eval::fit_blend(validation_->classes, tables);
    blended.probabilities = eval::cross_fitted_blend(validation_->classes, tables, seed);
  }
  add_rung(std::move(blended), events);
}

// As long as it takes with many rows of many labels, a pause must not wait for its end.
eval::LinearOptions Tuning::stoppable(eval::LinearOptions options) {
  options.stop = pause_.stop();
  return options;
}

void Tuning::climb_linear(const TuningEvents& events) {
  if (events.stage) events.stage("linear baseline", 0, 1);
  const base::Stopwatch watch;
  base::ThreadPool& pool = device_.context().pool;
  const LabelledTexts& data = in_turn_ ? everything_ : training_->data;
  const std::uint64_t seed = request_.recipe.seed;
  result_.linear =
      eval::LinearBaseline::fit(data.texts, data.labels, stoppable({.seed = seed}), pool);
  eval::ProbabilityTable all;
  if (in_turn_)
    all = eval::out_of_fold_probabilities(data.texts, data.labels, kTurns,
                                          stoppable(result_.linear->options(seed)), pool);
  add_cheap(Method::linear, std::move(all), watch.seconds(), events);
}

void Tuning::climb_probe(const TuningEvents& events) {
  const base::Stopwatch watch;
  const std::size_t total = training_->examples.size() + validation_->examples.size();
  std::size_t before = 0;
  for (Part* part : {training_.get(), validation_.get()}) {
    part->features = frozen_features(model_, device_, part->examples, request_.recipe.rows,
                                     [&](std::size_t done) {
                                       eval::throw_where_stopped(pause_.stop());
                                       if (events.stage)
                                         events.stage("features", before + done, total);
                                     });
    before += part->examples.size();
  }
  if (events.stage) events.stage("linear probe", 0, 1);
  base::ThreadPool& pool = device_.context().pool;
  const std::vector<float> together = in_turn_ ? all_features() : std::vector<float>();
  const eval::DenseRows rows{in_turn_ ? together : training_->features, model_->sizes().width};
  const auto& labels = in_turn_ ? everything_.labels : training_->data.labels;
  const std::uint64_t seed = request_.recipe.seed;
  result_.probe = eval::LinearBaseline::fit_dense(rows, labels, stoppable({.seed = seed}), pool);
  eval::ProbabilityTable all;
  if (in_turn_)
    all = eval::out_of_fold_probabilities(rows, labels, kTurns,
                                          stoppable(result_.probe->options(seed)), pool);
  add_cheap(Method::probe, std::move(all), watch.seconds(), events);
}

std::vector<float> Tuning::all_features() const {
  std::vector<float> together = training_->features;
  together.insert(together.end(), validation_->features.begin(), validation_->features.end());
  return together;
}

// All that decides the examples, beside the recipe.
std::string Tuning::origin() const {
  std::string text = fmt::format(
      "base {}\ntext {} label {} max_tokens {} twice {}\n", request_.base_digest,
      request_.reading.text, request_.reading.label, request_.form.max_tokens, request_.form.twice);
  for (const base::Digest& digest : report_.training_files)
    text += "training " + digest.text() + "\n";
  for (const base::Digest& digest : report_.validation_files)
    text += "validation " + digest.text() + "\n";
  return text;
}

AdapterTrainingOptions Tuning::training_options() const {
  return {.recipe = request_.recipe,
          .patience = request_.patience,
          .snapshot = request_.snapshot,
          .origin = origin()};
}

bool Tuning::climb_adapter(const TuningEvents& events) {
  const base::Stopwatch watch;
  if (adapter_training_ == nullptr) {
    if (!search(events)) return false;
    adapter_training_ = std::make_unique<ClassifierTraining>(
        model_, device_, report_.labels.size(), training_->examples, validation_->examples,
        training_options());
  }
  if (!adapter_training_->run(events.training)) return false;
  report_.history = adapter_training_->history();
  report_.losses = step_losses(adapter_training_->losses());
  if (!add_member(Method::lora, watch.seconds(), events)) return false;
  result_.adapter = adapter_training_->best();
  return true;
}

bool Tuning::run(const TuningEvents& events) {
  return pause_.run(events.training.pause, [&] { return climb(events); });
}

bool Tuning::climb(const TuningEvents& events) {
  if (report_.rungs.empty()) {
    climb_linear(events);
    if (wants(Method::probe)) climb_probe(events);
    if (request_.method == Method::automatic && wants(Method::probe)) add_blend(events);
    suspect(events);
  }
  const bool climbed = result_.adapter.has_value();  // before a pause
  if (wants(Method::lora) && !climbed && !climb_adapter(events)) return false;
  const bool blends = request_.method == Method::automatic || request_.method == Method::blend;
  if (blends && wants(Method::lora) && !climbed) add_blend(events);
  if (wants_labels() && !climb_labels(events)) return false;
  if (!measure_curves(events)) return false;
  choose();
  if (!report_.uses(Method::labels)) label_answers_.reset();  // another may need the memory again
  calibrate();
  refit();
  if (!retrain(events)) return false;
  return test_ == nullptr || test(events);
}

std::optional<eval::ProbabilityTable> Tuning::probabilities_of(Method method, const Part& part,
                                                               const ScoreProgress& progress) {
  base::ThreadPool& pool = device_.context().pool;
  switch (method) {
    case Method::probe:
      return result_.probe->probabilities(eval::DenseRows{part.features, model_->sizes().width},
                                          pool);
    case Method::lora:
      return adapter_training_->probabilities(part.examples, progress);
    case Method::labels: {
      const auto scores = label_answers_->scores(part.asked, progress);
      if (!scores) return std::nullopt;
      return tune::probabilities_of(*scores, report_.labels.size(), report_.label_prior);
    }
    default:
      return result_.linear->probabilities(part.data.texts, pool);
  }
}

std::optional<eval::ProbabilityTable> Tuning::probabilities_of(const Rung& rung, const Part& part,
                                                               const ScoreProgress& progress) {
  std::vector<eval::ProbabilityTable> tables;
  for (const Method method : rung.members) {
    auto table = probabilities_of(method, part, progress);
    if (!table) return std::nullopt;
    tables.push_back(std::move(*table));
  }
  if (tables.size() == 1) return std::move(tables.front());
  std::vector<const eval::ProbabilityTable*> members;
  for (const auto& table : tables) members.push_back(&table);
  return eval::blend(members, rung.weights);
}

Certificate Tuning::certificate() {
  const std::size_t rows = validation_->data.size();
  const bool labels = report_.uses(Method::labels);
  const std::size_t count =
      std::min(rows, labels ? Certificate::kLabelExamples : Certificate::kExamples);
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < count; ++i) chosen.push_back(i * rows / count);
  Part part;
  part.data = validation_->data.subset(chosen);
  const std::size_t width = validation_->features.size() / rows;
  for (const std::size_t row : chosen) {
    if (!validation_->examples.empty()) part.examples.push_back(validation_->examples[row]);
    const float* features = validation_->features.data() + row * width;
    part.features.insert(part.features.end(), features, features + width);
  }
  const eval::ProbabilityTable table =
      eval::with_temperature(labels ? rows_of(report_.chosen_rung().probabilities, chosen)
                                    : probabilities_of(report_.chosen_rung(), part).value(),
                             report_.calibration.temperature);
  const auto tokens = [&](std::size_t i) -> std::string {
    if (labels) return tokens_digest(label_task_->read(part.data.texts[i]).prompt);
    return report_.uses_base() ? tokens_digest(part.examples[i].tokens) : "";
  };
  Certificate certificate;
  for (std::size_t i = 0; i < count; ++i) {
    if (!decide::refusal_of_text(part.data.texts[i]).empty()) continue;  // as whoever asks hears
    const auto row = table.row(i);
    certificate.examples.push_back({.text = part.data.texts[i],
                                    .tokens = tokens(i),
                                    .probabilities = {row.begin(), row.end()}});
  }
  return certificate;
}

bool Tuning::test(const TuningEvents& events) {
  constexpr std::string_view kStage = "test rows";
  const std::size_t total = test_->data.size();
  if (events.stage) events.stage(kStage, 0, 1);
  if (report_.uses(Method::probe))
    test_->features =
        frozen_features(model_, device_, test_->examples,
                        std::max(request_.recipe.rows, test_->longest), [&](std::size_t done) {
                          if (events.stage) events.stage("features of the test rows", done, total);
                        });
  const eval::ProbabilityTable linear = probabilities_of(Method::linear, *test_).value();
  const auto scored =
      probabilities_of(report_.chosen_rung(), *test_, progress_of(kStage, total, events));
  if (!scored) return false;
  const eval::ProbabilityTable chosen =
      eval::with_temperature(*scored, report_.calibration.temperature);
  TuningReport::Test result{.chosen = measure(test_->classes, chosen),
                            .linear = measure(test_->classes, linear),
                            .p_value = compare(test_->classes, linear, chosen).p_value,
                            .measures = eval::measure_calibration(test_->classes, chosen),
                            .answers = answer_report(test_->classes, chosen)};
  std::size_t answered = 0, right = 0, covered = 0, in_sets = 0;
  for (std::size_t i = 0; i < chosen.rows(); ++i) {
    const auto row = chosen.row(i);
    const std::size_t answer = eval::likeliest(row);
    const auto set = eval::conformal_set(row, report_.calibration.conformal_quantile);
    in_sets += set.size();
    covered += std::count(set.begin(), set.end(), test_->classes[i]) > 0 ? 1 : 0;
    if (report_.calibration.abstains(row)) continue;
    ++answered;
    right += answer == test_->classes[i] ? 1 : 0;
  }
  const auto rows = static_cast<double>(chosen.rows());
  result.answered = static_cast<double>(answered) / rows;
  result.answered_accuracy =
      answered > 0 ? static_cast<double>(right) / static_cast<double>(answered) : 0;
  result.set_coverage = static_cast<double>(covered) / rows;
  result.set_size = static_cast<double>(in_sets) / rows;
  const auto& classes = test_->classes;
  const auto scope = report_.calibration.out_of_scope;
  const auto out = scope ? std::count(classes.begin(), classes.end(), *scope) : 0;
  if (out > 0 && out < std::ssize(classes))
    result.scope = eval::measure_scope(classes, chosen, report_.calibration);
  report_.test = result;
  return true;
}

}  // namespace malina::tune
