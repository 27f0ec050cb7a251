// The gated feed-forward unit (Shazeer, 2020).
#pragma once

#include "math/device.h"

namespace malina::math {

enum class Gate { silu, gelu_tanh };

// output = activation(gate) * up, or activation(gate) where `up` is absent. All: [tokens, hidden];
// output may be gate's memory.
struct GatedUnit {
  static constexpr std::string_view kName = "gated_unit";
  Slice gate, up, output;
  Gate activation = Gate::silu;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

}  // namespace malina::math
