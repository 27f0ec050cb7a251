// What the two halves of the training pass share of one batch.
#pragma once

#include <cstdint>
#include <vector>

#include "model/training_pass.h"

namespace malina::model {

struct TrainingPass::Batch {
  std::vector<std::int32_t> tokens;
  std::vector<std::uint32_t> positions;
  std::vector<std::uint8_t> is_long;  // by row; empty where no model has two sets of frequencies
  std::vector<math::AttentionSpan> spans;
  std::vector<std::size_t> all;     // 0, 1, ... rows - 1
  std::vector<std::size_t> wanted;  // rows whose hidden states were asked for
  const TrainableAdapter* adapter = nullptr;
  bool pending = false;  // a way back is still to come
  // What the way back learns: one of the two.
  TrainableAdapter* learned_adapter = nullptr;
  TrainableWeights* learned_weights = nullptr;
};

// The rows that chose an expert, ascending, and the weights they give it; `choices` says where in
// the list of all choices each stands.
struct ExpertRows {
  std::vector<std::size_t> rows, choices;
  std::vector<float> weights;
};

inline ExpertRows rows_of_expert(std::span<const math::ExpertChoice> choices, std::size_t used,
                                 std::uint32_t expert) {
  ExpertRows chosen;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (choices[i].expert != expert) continue;
    chosen.rows.push_back(i / used);
    chosen.choices.push_back(i);
    chosen.weights.push_back(choices[i].weight);
  }
  return chosen;
}

}  // namespace malina::model
