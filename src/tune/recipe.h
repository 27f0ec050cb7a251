// How an adapter, or a whole model, is trained: everything that, with base and data, decides every
// bit of the result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "math/ops/linear.h"
#include "model/trainable_adapter.h"
#include "tune/optimizer.h"
#include "tune/pooling.h"

namespace malina::tune {

struct Recipe {
  bool full = false;  // all weights of the base, in float32; `adapter`, `b_ratio` are not looked at
  model::LowRankOptions adapter;
  float learning_rate = 1e-3F;  // of A and of the head
  float b_ratio = 1;            // of B's learning rate to A's (LoRA+: Hayou et al., 2024)
  AdamWOptions optimizer;
  double clip = 1;  // of the gradient's norm; 0: none
  std::size_t epochs = 4;
  std::size_t batch = 32;  // examples a step
  double warm_up = 0.06;   // share of all steps
  std::uint64_t seed = 1;
  std::size_t rows = 512;    // tokens computed at once; a step is as many of these as it takes
  bool share_prefix = true;  // what all examples begin with is computed once a micro-batch
  bool recompute = false;    // a third slower, for a fraction of the memory
  math::Precision precision = math::Precision::exact;
  Pooling pooling = Pooling::last;  // of a classifier; mean: one target for each example
};

// Epochs and texts of a step for so many training rows, where nobody says: about 600 steps, but the
// rows at least 4 times and at most 30 times; early stopping ends what takes fewer. Steps are of 16
// texts below 1,000 rows, otherwise of 32.
struct TrainingSchedule {
  std::size_t epochs, batch;
};
TrainingSchedule automatic_schedule(std::size_t rows);

// Whether texts are read twice and their mean is taken, where nothing else is asked for: with few
// rows that tells much more (BANKING77 with 10 a class: 70.6 % against 60.3 by the probe), with
// many it costs much time.
bool reads_twice(std::size_t rows);

// Learning rates to search among: half of the recipe's, itself, twice and five times that.
std::vector<float> search_rates(float learning_rate);

}  // namespace malina::tune
