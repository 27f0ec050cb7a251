// What turns hidden states into scores while training: a head of its own for classes, or the
// model's output matrix.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "math/device.h"
#include "model/model.h"
#include "model/trainable_weights.h"

namespace malina::tune {

// One thread. Classes: a matrix [classes, width] without bias, as Transformers' `score`, drawn
// normally with a deviation of 0.02 from the seed. Vocabulary: frozen, nothing to train, unless the
// whole model is trained.
class OutputHead {
 public:
  OutputHead(std::shared_ptr<const model::Model> model, math::Device& device, std::size_t classes,
             std::size_t max_rows, std::uint64_t seed);

  // From now on learn() adds to the gradients of the model's output matrix and its bias; of a head
  // of the vocabulary. `weights` are of the same model and must outlive this.
  void learn_vocabulary(const model::TrainableWeights& weights) { weights_ = &weights; }

  // [rows, outputs()], valid until the next call. At most block_rows() rows.
  math::Slice scores(const math::Slice& hidden);
  // The loss of each row (nats), and hidden_gradient = the gradient of the sum of weights * losses;
  // adds to the head's own gradient. Any number of rows.
  std::vector<double> learn(const math::Slice& hidden, std::span<const std::int32_t> targets,
                            std::span<const float> weights, const math::Slice& hidden_gradient);

  // The loss of each row (nats), and whether its target has the highest score. Any number of rows.
  struct Judged {
    double loss = 0;
    bool right = false;
  };
  std::vector<Judged> judge(const math::Slice& hidden, std::span<const std::int32_t> targets);

  std::size_t outputs() const { return outputs_; }
  std::size_t block_rows() const { return block_rows_; }
  bool trained() const { return weight_ != nullptr; }
  std::span<float> parameters();  // [classes, width]; empty where the vocabulary is the head
  std::span<float> gradients();

 private:
  void score(const math::Slice& hidden, const math::Slice& output);
  void learn_matrix(const math::Slice& hidden, const math::Slice& score_gradients);

  std::shared_ptr<const model::Model> model_;
  const model::TrainableWeights* weights_ = nullptr;
  math::Device& device_;
  std::size_t outputs_, block_rows_;
  std::unique_ptr<math::Buffer> weight_, gradient_, scratch_;
  math::Slice matrix_, matrix_gradient_, turned_, scores_;
};

}  // namespace malina::tune
