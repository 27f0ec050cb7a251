// Mixture of experts: who computes which token, and the sum of what they give (Shazeer et al., 2017;
// Jiang et al., 2024).
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
// in order of their index, with their probabilities (softmax over all experts) divided by the sum of
// those chosen. scores: [tokens, experts]; choices: [tokens * used], host memory, valid after the
// call; on a planning device they stay as they are.
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

}  // namespace malina::math
