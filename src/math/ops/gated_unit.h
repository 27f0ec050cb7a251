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

// The gradients of gate and up from that of GatedUnit's output. All: [tokens, hidden];
// gate_gradient may be gate's memory, up_gradient up's or output_gradient's. Where `up` is absent,
// so is up_gradient.
struct GatedUnitBackward {
  static constexpr std::string_view kName = "gated_unit_backward";
  Slice gate, up, output_gradient, gate_gradient, up_gradient;
  Gate activation = Gate::silu;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

}  // namespace malina::math
