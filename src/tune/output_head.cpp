#include "tune/output_head.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/random.h"
#include "math/ops/cross_entropy.h"
#include "math/ops/linear.h"
#include "math/ops/matrix_product.h"
#include "math/ops/weight_gradients.h"

namespace malina::tune {

using math::Slice;

namespace {

constexpr std::size_t kScoreBytes = 16 << 20;  // of the scores of one block of rows
constexpr float kDeviation = 0.02F;

// Box and Muller, 1958.
void draw_normal(std::span<float> values, std::uint64_t seed) {
  base::Random random(seed);
  for (float& value : values) {
    const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
    value =
        kDeviation * static_cast<float>(radius * std::cos(2 * std::numbers::pi * random.uniform()));
  }
}

std::size_t padded(std::size_t floats) { return (floats + 15) / 16 * 16; }

}  // namespace

OutputHead::OutputHead(std::shared_ptr<const model::Model> model, math::Device& device,
                       std::size_t classes, std::size_t max_rows, std::uint64_t seed)
    : model_(std::move(model)),
      device_(device),
      outputs_(classes > 0 ? classes : model_->sizes().vocab) {
  const std::size_t width = model_->sizes().width;
  block_rows_ = std::clamp<std::size_t>(kScoreBytes / (outputs_ * sizeof(float)), 1, max_rows);
  const std::size_t turned = classes > 0 ? padded(width * classes) : 0;
  scratch_ = device.allocate((padded(block_rows_ * outputs_) + turned) * sizeof(float));
  scores_ = math::float_slice(*scratch_, 0, block_rows_, outputs_);
  if (classes == 0) return;
  turned_ =
      math::float_slice(*scratch_, padded(block_rows_ * outputs_) * sizeof(float), width, classes);
  weight_ = device.allocate(classes * width * sizeof(float));
  gradient_ = device.allocate(classes * width * sizeof(float));
  matrix_ = math::float_slice(*weight_, 0, classes, width);
  matrix_gradient_ = math::float_slice(*gradient_, 0, classes, width);
  if (weight_->host() != nullptr) draw_normal(parameters(), seed);
}

std::span<float> OutputHead::parameters() {
  if (!trained() || weight_->host() == nullptr) return {};
  return {math::host_floats(matrix_), matrix_.rows * matrix_.columns};
}

std::span<float> OutputHead::gradients() {
  if (!trained() || gradient_->host() == nullptr) return {};
  return {math::host_floats(matrix_gradient_), matrix_.rows * matrix_.columns};
}

void OutputHead::score(const Slice& hidden, const Slice& output) {
  if (trained()) {
    device_.run(math::Transpose{matrix_, turned_});
    device_.run(math::MatrixProduct{.left = hidden, .right = turned_, .output = output});
    return;
  }
  const std::array parts{
      math::LinearPart{.weight = model_->head(), .bias = model_->head_bias(), .output = output}};
  device_.run(math::Linear{
      .input = hidden, .parts = parts, .scratch = {}, .precision = math::Precision::exact});
}

Slice OutputHead::scores(const Slice& hidden) {
  math::require(hidden.rows <= block_rows_, "output head", "more rows than a block");
  const Slice output = scores_.row_range(0, hidden.rows);
  score(hidden, output);
  return output;
}

std::vector<double> OutputHead::learn(const Slice& hidden, std::span<const std::int32_t> targets,
                                      std::span<const float> weights,
                                      const Slice& hidden_gradient) {
  std::vector<double> losses(hidden.rows);
  for (std::size_t first = 0; first < hidden.rows; first += block_rows_) {
    const std::size_t count = std::min(block_rows_, hidden.rows - first);
    const Slice input = hidden.row_range(first, count);
    const Slice gradient = hidden_gradient.row_range(first, count);
    const Slice scores = scores_.row_range(0, count);
    score(input, scores);
    device_.run(math::CrossEntropy{scores, targets.subspan(first, count),
                                   weights.subspan(first, count),
                                   std::span(losses).subspan(first, count)});
    if (!trained()) {
      learn_matrix(input, scores);
      device_.run(math::LinearBackward{scores, model_->head(), gradient, false});
      continue;
    }
    device_.run(math::MatrixProduct{.left = scores,
                                    .right = input,
                                    .output = matrix_gradient_,
                                    .left_transposed = true,
                                    .add = true});
    device_.run(math::MatrixProduct{.left = scores, .right = matrix_, .output = gradient});
  }
  return losses;
}

void OutputHead::learn_matrix(const Slice& hidden, const Slice& score_gradients) {
  if (weights_ == nullptr) return;
  device_.run(
      math::LinearWeightGradient{hidden, score_gradients, weights_->gradient(model_->head())});
  if (model_->head_bias())
    device_.run(math::BiasGradient{score_gradients, weights_->gradient(model_->head_bias())});
}

std::vector<OutputHead::Judged> OutputHead::judge(const Slice& hidden,
                                                  std::span<const std::int32_t> targets) {
  std::vector<Judged> judged(hidden.rows);
  std::vector<double> losses(block_rows_);
  const std::vector<float> weights(block_rows_, 1.0F);
  for (std::size_t first = 0; first < hidden.rows; first += block_rows_) {
    const std::size_t count = std::min(block_rows_, hidden.rows - first);
    const Slice scores = this->scores(hidden.row_range(first, count));
    for (std::size_t i = 0; i < count; ++i) {
      const float* row = math::host_floats(scores) + i * scores.stride;
      judged[first + i].right = std::max_element(row, row + outputs_) - row == targets[first + i];
    }
    device_.run(math::CrossEntropy{scores, targets.subspan(first, count),
                                   std::span(weights).first(count),
                                   std::span(losses).first(count)});
    for (std::size_t i = 0; i < count; ++i) judged[first + i].loss = losses[i];
  }
  return judged;
}

}  // namespace malina::tune
