// Training of an adapter and a head, or of a whole model: steps, gradients, updates, and a state
// that can be stored and taken up again at any step with the same bits.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "model/trainable_weights.h"
#include "model/training_pass.h"
#include "tune/output_head.h"
#include "tune/recipe.h"

namespace malina::tune {

// A text as tokens, and what is learned at each of them.
struct TrainingExample {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> targets = {};  // by token: a class, or the next token; -1: not trained
  std::vector<float> weights = {};         // by token; empty: 1 wherever there is a target
  std::size_t read_from = 0;               // the first token of which a mean is taken

  std::size_t trained() const;  // tokens with a target
};

struct StepReport {
  std::uint64_t step = 0;    // steps done, this one included
  double loss = 0;           // weighted mean over the step's trained tokens, nats
  double gradient_norm = 0;  // before clipping
  float learning_rate = 0;
  std::size_t positions = 0;  // tokens that were computed
};

// What is scored of one example: rows of the head's outputs, one for each trained token, or one for
// all where states are pooled. Where these are more than the head computes at once (many tokens of
// a large vocabulary) the next rows come by the next call.
using ScoreSink = std::function<void(std::size_t example, const math::Slice& outputs)>;

// Called before the first of many texts is scored and then after every few, with how many are done.
// False: leave it. May be empty.
using ScoreProgress = std::function<bool(std::size_t done)>;

// A gradient that is no number any more. Fault::invalid_argument.
class DivergedError : public base::Error {
 public:
  explicit DivergedError(std::uint64_t step);
};

// One thread; the pool of its device does the work. Examples must outlive the trainer.
class Trainer {
 public:
  // `classes`: of the head; 0: the model's own vocabulary. Throws base::Error(invalid_argument):
  // no example, an example without a trained token or longer than `recipe.rows`, a target out of
  // range. Where the recipe is full the model's own weights are trained: it is to be of
  // model::in_float32(), nobody else's, and there are no classes.
  Trainer(std::shared_ptr<const model::Model> model, math::CpuDevice& device, const Recipe& recipe,
          std::size_t classes, std::span<const TrainingExample> examples);
  ~Trainer();

  std::uint64_t steps() const { return steps_; }  // of all epochs
  std::uint64_t step() const { return step_; }    // done so far
  std::uint64_t steps_per_epoch() const { return steps_per_epoch_; }

  // Tokens with which every example begins and of which none is trained: a system message, say.
  // They are computed once for all examples of a micro-batch, in both directions.
  std::size_t shared_tokens() const { return shared_.size(); }

  StepReport run_step();
  // Which examples a step learns from: indices, in order.
  std::vector<std::size_t> batch_of(std::uint64_t step) const;

  // The head's outputs (logits) of other examples, of any length, with the adapter as it is now.
  // `exact`: by the arithmetic that the adapter is used with, whatever it is trained by. False
  // where `progress` stopped it.
  bool score(std::span<const TrainingExample> examples, const ScoreSink& sink, bool exact = false,
             const ScoreProgress& progress = {});

  // How well the targets of other examples are met, weighted by token. Of any length; with the
  // adapter as it is now, or by the base alone. Nothing where `progress` stopped it.
  struct Evaluation {
    double loss = 0;      // mean, nats
    double accuracy = 0;  // share of targets with the highest score
    double weight = 0;    // of all targets
  };
  std::optional<Evaluation> evaluate(std::span<const TrainingExample> examples, bool adapted = true,
                                     const ScoreProgress& progress = {});
  // The same of each one, with the adapter.
  std::optional<std::vector<Evaluation>> evaluate_each(std::span<const TrainingExample> examples,
                                                       const ScoreProgress& progress = {});

  // Gives back what steps and scores are computed in, which is most of its memory, until the next
  // of them.
  void rest();

  model::TrainableAdapter& adapter() { return *adapter_; }  // where the recipe is not full
  model::TrainableWeights& weights() { return *weights_; }  // where it is
  std::span<float> parameters();                            // of adapter or weights
  OutputHead& head() { return *head_; }
  const Recipe& recipe() const { return recipe_; }
  // All that a later run needs to go on: parameters and moments of adapter and head, step.
  struct State {
    std::uint64_t step;
    std::vector<std::span<float>> arrays;  // of this trainer: to be read, or filled
  };
  State state();
  void set_step(std::uint64_t step) { step_ = step; }

 private:
  struct MicroBatch;

  // Forward over examples that are not trained on; `each` is called with each micro-batch and what
  // the head reads of it. False where `progress` stopped it.
  bool run_over(std::span<const TrainingExample> examples, bool adapted, bool exact,
                const ScoreProgress& progress,
                const std::function<void(const MicroBatch&, const math::Slice& states)>& each);
  model::TrainingPass& pass();
  // The hidden states that the head reads: those of the wanted tokens, or their means.
  math::Slice read(const MicroBatch& micro_batch, const math::Slice& hidden);
  std::vector<MicroBatch> pack(std::span<const std::size_t> batch,
                               std::span<const TrainingExample> examples, std::size_t rows) const;
  // Of the tokens from `first` on, which are the next rows of the micro-batch.
  void add_targets(const TrainingExample& example, std::size_t first, MicroBatch& target) const;
  double run(const MicroBatch& micro_batch, double total_weight);
  double update(float rate);
  std::span<float> gradients();  // of parameters()

  std::shared_ptr<const model::Model> model_;
  math::CpuDevice& device_;
  Recipe recipe_;
  std::span<const TrainingExample> examples_;
  std::span<const std::int32_t> shared_;              // of the first example
  std::unique_ptr<model::TrainableAdapter> adapter_;  // one of the two
  std::unique_ptr<model::TrainableWeights> weights_;
  std::unique_ptr<OutputHead> head_;
  std::unique_ptr<model::TrainingPass> pass_;  // null while it rests
  std::unique_ptr<AdamW> optimizer_;
  std::unique_ptr<math::Buffer> pooled_;  // [examples of a micro-batch, width]
  std::uint64_t step_ = 0, steps_ = 0, steps_per_epoch_ = 0;
  // The order of one epoch, made when it is needed.
  mutable std::uint64_t epoch_ = ~std::uint64_t{0};
  mutable std::vector<std::size_t> order_;
};

}  // namespace malina::tune
