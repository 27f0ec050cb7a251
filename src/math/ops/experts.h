// Mixture of experts: who computes which token, and the sum of what they give (Shazeer et al.,
// 2017; Jiang et al., 2024).
#pragma once

#include <cstdint>
#include <span>

#include "math/device.h"

namespace malina::math {

struct ExpertChoice {
  std::uint32_t expert;
  float weight;
};

// For each row of scores: the `used` experts of the greatest probability, ties to the lowest index,
// in order of their index, with their probabilities (softmax over all experts) divided by the sum
// of those chosen. scores: [tokens, experts]; choices: [tokens * used], host memory, valid after
// the call; on a planning device they stay as they are.
struct ChooseExperts {
  static constexpr std::string_view kName = "choose_experts";
  Slice scores;
  std::size_t used;
  std::span<ExpertChoice> choices;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

// output row rows[i] += weights[i] * input row i. Different memory; no row twice.
struct AddWeightedRows {
  static constexpr std::string_view kName = "add_weighted_rows";
  Slice input, output;
  std::span<const std::size_t> rows;
  std::span<const float> weights;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

// For the gradient of AddWeightedRows' output: input_gradient row i = weights[i] * row rows[i] of
// it, and weight_gradients[i] = what that row and input row i have in common (their product).
struct AddWeightedRowsBackward {
  static constexpr std::string_view kName = "add_weighted_rows_backward";
  Slice input, output_gradient, input_gradient;
  std::span<const std::size_t> rows;
  std::span<const float> weights;
  std::span<float> weight_gradients;  // host memory

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

// scores_gradient (overwritten) from the gradients of the chosen weights, [tokens * used] as the
// choices are. Which experts were chosen has no gradient.
struct ChooseExpertsBackward {
  static constexpr std::string_view kName = "choose_experts_backward";
  std::size_t used;
  std::span<const ExpertChoice> choices;
  std::span<const float> weight_gradients;
  Slice scores_gradient;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

}  // namespace malina::math
