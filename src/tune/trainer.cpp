#include "tune/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "base/shuffle.h"

namespace malina::tune {

using base::Error;
using base::Fault;
using math::Slice;

// Examples that are computed together.
struct Trainer::MicroBatch {
  std::vector<std::size_t> examples;
  std::vector<model::TrainingText> texts;
  std::vector<std::size_t> wanted;  // rows with a target; all where states are pooled
  std::vector<std::size_t> counts;  // of each example its rows; where states are pooled
  std::vector<std::int32_t> targets;
  std::vector<float> weights;
  std::size_t rows = 0;
};

std::size_t TrainingExample::trained() const {
  return tokens.size() - static_cast<std::size_t>(std::count(targets.begin(), targets.end(), -1));
}

namespace {

void check(std::span<const TrainingExample> examples, std::size_t rows, std::size_t outputs,
           Pooling pooling) {
  for (std::size_t i = 0; i < examples.size(); ++i) {
    const TrainingExample& example = examples[i];
    math::require(example.targets.size() == example.tokens.size() &&
                      (example.weights.empty() || example.weights.size() == example.tokens.size()),
                  "trainer", "an example's parts differ in length");
    math::require(example.read_from < example.tokens.size(), "trainer", "nothing to read from");
    if (example.tokens.size() > rows)
      throw Error(
          Fault::invalid_argument,
          fmt::format("example {} has {} tokens, more than the {} that are computed at once", i + 1,
                      example.tokens.size(), rows));
    if (example.trained() == 0)
      throw Error(Fault::invalid_argument, fmt::format("example {} has nothing to learn", i + 1));
    if (pooling == Pooling::mean && example.trained() > 1)
      throw Error(Fault::invalid_argument,
                  fmt::format("example {} has {} targets, and one state for all", i + 1,
                              example.trained()));
    for (const std::int32_t target : example.targets)
      if (target < -1 || (target >= 0 && static_cast<std::size_t>(target) >= outputs))
        throw Error(
            Fault::invalid_argument,
            fmt::format("example {} has the target {}, and there are {}", i + 1, target, outputs));
  }
}

// Fewer are not worth a text of their own.
constexpr std::size_t kLeastShared = 8;

bool begins_with(const TrainingExample& example, std::span<const std::int32_t> tokens) {
  return example.tokens.size() > tokens.size() &&
         std::equal(tokens.begin(), tokens.end(), example.tokens.begin()) &&
         std::all_of(example.targets.begin(),
                     example.targets.begin() + static_cast<std::ptrdiff_t>(tokens.size()),
                     [](std::int32_t target) { return target < 0; });
}

std::span<const std::int32_t> shared_beginning(std::span<const TrainingExample> examples) {
  const TrainingExample& first = examples.front();
  const auto trained = std::find_if(first.targets.begin(), first.targets.end(),
                                    [](std::int32_t target) { return target >= 0; });
  auto length = static_cast<std::size_t>(trained - first.targets.begin());
  for (const TrainingExample& example : examples) {
    length = std::min(length, example.tokens.size() - 1);
    std::size_t same = 0;
    while (same < length && example.tokens[same] == first.tokens[same] && example.targets[same] < 0)
      ++same;
    length = same;
  }
  return length < kLeastShared ? std::span<const std::int32_t>()
                               : std::span(first.tokens).first(length);
}

}  // namespace

Trainer::Trainer(std::shared_ptr<const model::Model> model, math::CpuDevice& device,
                 const Recipe& recipe, std::size_t classes,
                 std::span<const TrainingExample> examples)
    : model_(std::move(model)), device_(device), recipe_(recipe), examples_(examples) {
  if (examples.empty()) throw Error(Fault::invalid_argument, "there is no example to learn from");
  check(examples, recipe.rows, classes > 0 ? classes : model_->sizes().vocab, recipe.pooling);
  math::require(!recipe.full || (classes == 0 && recipe.precision == math::Precision::exact),
                "trainer", "a whole model with a head of its own, or in 8 bits");
  if (recipe.full)
    weights_ = std::make_unique<model::TrainableWeights>(model_, device);
  else
    adapter_ =
        std::make_unique<model::TrainableAdapter>(*model_, recipe.adapter, recipe.seed, device);
  head_ = std::make_unique<OutputHead>(model_, device, classes, recipe.rows, recipe.seed + 1);
  pass();  // where there is no memory for it, that is said now
  optimizer_ =
      std::make_unique<AdamW>(parameters().size() + head_->parameters().size(), recipe.optimizer);
  if (weights_) head_->learn_vocabulary(*weights_);
  if (recipe.share_prefix && recipe.pooling == Pooling::last) shared_ = shared_beginning(examples);
  steps_per_epoch_ = (examples.size() + recipe.batch - 1) / recipe.batch;
  steps_ = steps_per_epoch_ * recipe.epochs;
}

Trainer::~Trainer() = default;

model::TrainingPass& Trainer::pass() {
  if (pass_ == nullptr)
    pass_ = std::make_unique<model::TrainingPass>(
        model_, device_,
        model::TrainingPassOptions{.max_rows = recipe_.rows,
                                   .rank = recipe_.full ? 0 : recipe_.adapter.rank,
                                   .recompute = recipe_.recompute,
                                   .precision = recipe_.precision});
  return *pass_;
}

std::span<float> Trainer::parameters() {
  return weights_ ? weights_->parameters() : adapter_->parameters();
}

std::span<float> Trainer::gradients() {
  return weights_ ? weights_->gradients() : adapter_->gradients();
}

void Trainer::rest() {
  pass_.reset();
  pooled_.reset();
}

// The examples of one step: every epoch has all of them once, in an order of its own.
std::vector<std::size_t> Trainer::batch_of(std::uint64_t step) const {
  const std::uint64_t epoch = step / steps_per_epoch_;
  if (epoch != epoch_) {
    base::Random random(recipe_.seed * 0x9E3779B97F4A7C15ULL + epoch + 1);
    order_ = base::shuffled_order(examples_.size(), random);
    epoch_ = epoch;
  }
  const std::size_t first = step % steps_per_epoch_ * recipe_.batch;
  const std::size_t last = std::min(order_.size(), first + recipe_.batch);
  return {order_.begin() + static_cast<std::ptrdiff_t>(first),
          order_.begin() + static_cast<std::ptrdiff_t>(last)};
}

std::vector<Trainer::MicroBatch> Trainer::pack(std::span<const std::size_t> batch,
                                               std::span<const TrainingExample> examples,
                                               std::size_t rows) const {
  // What a micro-batch has once is no part of its examples.
  const bool sharing = !shared_.empty() && std::all_of(batch.begin(), batch.end(), [&](auto index) {
    return begins_with(examples[index], shared_);
  });
  const std::size_t first = sharing ? shared_.size() : 0;
  std::vector<MicroBatch> packed;
  for (const std::size_t index : batch) {
    const TrainingExample& example = examples[index];
    const std::size_t count = example.tokens.size() - first;
    if (packed.empty() || packed.back().rows + count > rows) {
      packed.emplace_back();
      if (sharing) packed.back().texts.push_back({.tokens = shared_});
      packed.back().rows = first;
    }
    MicroBatch& target = packed.back();
    target.examples.push_back(index);
    target.texts.push_back({.tokens = std::span(example.tokens).subspan(first),
                            .prefix = sharing ? 0 : math::AttentionSpan::kNone});
    add_targets(example, first, target);
    target.rows += count;
  }
  return packed;
}

void Trainer::add_targets(const TrainingExample& example, std::size_t first,
                          MicroBatch& target) const {
  const bool pooled = recipe_.pooling == Pooling::mean;
  if (pooled) target.counts.push_back(example.tokens.size() - example.read_from);
  for (std::size_t i = first; i < example.tokens.size(); ++i) {
    if (pooled ? i >= example.read_from : example.targets[i] >= 0)
      target.wanted.push_back(target.rows + i - first);
    if (example.targets[i] < 0) continue;
    target.targets.push_back(example.targets[i]);
    target.weights.push_back(example.weights.empty() ? 1.0F : example.weights[i]);
  }
}

Slice Trainer::read(const MicroBatch& micro_batch, const Slice& hidden) {
  if (recipe_.pooling == Pooling::last) return hidden;
  const std::size_t count = micro_batch.counts.size();
  pooled_ = device_.allocate(count * hidden.columns * sizeof(float));
  const Slice pooled = math::float_slice(*pooled_, 0, count, hidden.columns);
  mean_of_rows(hidden, micro_batch.counts, pooled);
  return pooled;
}

double Trainer::run(const MicroBatch& micro_batch, double total_weight) {
  const Slice hidden = pass().forward(micro_batch.texts, adapter_.get(), micro_batch.wanted);
  const Slice states = read(micro_batch, hidden);
  const auto gradient_buffer = device_.allocate(hidden.rows * hidden.columns * sizeof(float));
  const Slice gradient = math::float_slice(*gradient_buffer, 0, hidden.rows, hidden.columns);
  std::vector<float> weights;
  for (const float weight : micro_batch.weights)
    weights.push_back(static_cast<float>(double{weight} / total_weight));
  // The gradient of means takes their place: it is spread over the tokens afterwards.
  const bool pooled = recipe_.pooling == Pooling::mean;
  const auto losses =
      head_->learn(states, micro_batch.targets, weights, pooled ? states : gradient);
  if (pooled) mean_of_rows_backward(states, micro_batch.counts, gradient);
  if (weights_)
    pass().backward(gradient, *weights_);
  else
    pass().backward(gradient, *adapter_);
  double loss = 0;
  for (std::size_t i = 0; i < losses.size(); ++i) loss += losses[i] * double{weights[i]};
  return loss;
}

StepReport Trainer::run_step() {
  math::require(step_ < steps_, "trainer", "a step after the last");
  const auto micro_batches = pack(batch_of(step_), examples_, recipe_.rows);
  double total_weight = 0;
  for (const MicroBatch& part : micro_batches)
    for (const float weight : part.weights) total_weight += double{weight};
  std::fill(gradients().begin(), gradients().end(), 0.0F);
  std::fill(head_->gradients().begin(), head_->gradients().end(), 0.0F);
  StepReport report;
  for (const MicroBatch& part : micro_batches) {
    report.loss += run(part, total_weight);
    report.positions += part.rows;
  }
  const auto warm_up =
      static_cast<std::uint64_t>(recipe_.warm_up * static_cast<double>(steps_) + 0.5);
  report.learning_rate = recipe_.learning_rate * cosine_schedule(step_, warm_up, steps_);
  ++step_;
  report.step = step_;
  report.gradient_norm = update(report.learning_rate);
  return report;
}

DivergedError::DivergedError(std::uint64_t step)
    : base::Error(base::Fault::invalid_argument,
                  fmt::format("the gradient of step {} is no longer a number: a lower learning "
                              "rate may help",
                              step),
                  {.code = "training_diverged", .parameter = "hyperparameters"}) {}

double Trainer::update(float rate) {
  base::ThreadPool& pool = device_.context().pool;
  const double of_adapter = norm(gradients(), pool);
  const double of_head = norm(head_->gradients(), pool);
  const double size = std::sqrt(of_adapter * of_adapter + of_head * of_head);
  if (!std::isfinite(size)) throw DivergedError(step_);
  // As torch.nn.utils.clip_grad_norm_ has it.
  const float factor = recipe_.clip > 0 && size > recipe_.clip
                           ? static_cast<float>(recipe_.clip / (size + 1e-6))
                           : 1;
  // In one go where all have the same rate: what pads the matrices stays zero.
  if (recipe_.full || recipe_.b_ratio == 1)
    optimizer_->update(0, parameters(), gradients(), factor, rate, step_, pool);
  else
    for (const auto& matrix : adapter_->matrices()) {
      const std::size_t count = matrix.rows * matrix.columns;
      optimizer_->update(matrix.offset, adapter_->parameters().subspan(matrix.offset, count),
                         adapter_->gradients().subspan(matrix.offset, count), factor,
                         matrix.is_b ? rate * recipe_.b_ratio : rate, step_, pool);
    }
  if (head_->trained())
    optimizer_->update(parameters().size(), head_->parameters(), head_->gradients(), factor, rate,
                       step_, pool);
  return size;
}

bool Trainer::run_over(std::span<const TrainingExample> examples, bool adapted, bool exact,
                       const ScoreProgress& progress,
                       const std::function<void(const MicroBatch&, const Slice& states)>& each) {
  std::size_t rows = recipe_.rows;
  for (const TrainingExample& example : examples) rows = std::max(rows, example.tokens.size());
  check(examples, rows, head_->outputs(), recipe_.pooling);
  std::unique_ptr<model::TrainingPass> longer;
  const bool other = exact && recipe_.precision != math::Precision::exact;
  if (rows > recipe_.rows || other)
    longer = std::make_unique<model::TrainingPass>(
        model_, device_,
        model::TrainingPassOptions{
            .max_rows = rows,
            .rank = recipe_.full ? 0 : recipe_.adapter.rank,
            .recompute = true,
            .precision = exact ? math::Precision::exact : recipe_.precision});
  model::TrainingPass& pass = longer ? *longer : this->pass();
  std::vector<std::size_t> all(examples.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  std::size_t done = 0;
  for (const MicroBatch& part : pack(all, examples, rows)) {
    if (progress && !progress(done)) return false;
    each(part,
         read(part, pass.forward(part.texts, adapted ? adapter_.get() : nullptr, part.wanted)));
    done += part.examples.size();
  }
  return true;
}

bool Trainer::score(std::span<const TrainingExample> examples, const ScoreSink& sink, bool exact,
                    const ScoreProgress& progress) {
  return run_over(
      examples, true, exact, progress, [&](const MicroBatch& part, const Slice& states) {
        std::size_t first = 0;
        for (const std::size_t index : part.examples) {
          const std::size_t count = examples[index].trained();
          for (std::size_t done = 0; done < count; done += head_->block_rows())
            sink(index, head_->scores(states.row_range(
                            first + done, std::min(head_->block_rows(), count - done))));
          first += count;
        }
      });
}

namespace {

// Sums of what is judged, until means are asked for.
void add(const OutputHead::Judged& judged, double weight, Trainer::Evaluation& sums) {
  sums.loss += weight * judged.loss;
  sums.accuracy += judged.right ? weight : 0;
  sums.weight += weight;
}

Trainer::Evaluation mean_of(const Trainer::Evaluation& sums) {
  return {.loss = sums.loss / sums.weight,
          .accuracy = sums.accuracy / sums.weight,
          .weight = sums.weight};
}

}  // namespace

std::optional<Trainer::Evaluation> Trainer::evaluate(std::span<const TrainingExample> examples,
                                                     bool adapted, const ScoreProgress& progress) {
  Evaluation sums;
  const auto judge = [&](const MicroBatch& part, const Slice& states) {
    const auto judged = head_->judge(states, part.targets);
    for (std::size_t i = 0; i < judged.size(); ++i) add(judged[i], part.weights[i], sums);
  };
  if (!run_over(examples, adapted, false, progress, judge)) return std::nullopt;
  return mean_of(sums);
}

std::optional<std::vector<Trainer::Evaluation>> Trainer::evaluate_each(
    std::span<const TrainingExample> examples, const ScoreProgress& progress) {
  std::vector<Evaluation> results(examples.size());
  const auto judge = [&](const MicroBatch& part, const Slice& states) {
    const auto judged = head_->judge(states, part.targets);
    std::size_t i = 0;
    for (const std::size_t index : part.examples)
      for (const std::size_t end = i + examples[index].trained(); i < end; ++i)
        add(judged[i], part.weights[i], results[index]);
  };
  if (!run_over(examples, true, false, progress, judge)) return std::nullopt;
  for (Evaluation& result : results)
    if (result.weight > 0) result = mean_of(result);
  return results;
}

Trainer::State Trainer::state() {
  State result{step_, {parameters(), optimizer_->first_moments(), optimizer_->second_moments()}};
  if (head_->trained()) result.arrays.push_back(head_->parameters());
  return result;
}

}  // namespace malina::tune
