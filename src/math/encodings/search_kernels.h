// The search for scales that the writers of block encodings make: kernels over 16 blocks side by
// side, so that a lane is a block and nothing is summed across lanes. The same bits on every
// instruction set. No error where values are not finite: what comes out is then unspecified.
#pragma once

#include <cstddef>

#include "math/encoding.h"
#include "math/isa.h"

namespace malina::math {

inline constexpr std::size_t kLanes = 16;

// 16 blocks of `count` values (at most 32). Value i of block r stands at [i * 16 + r], with the
// weight, above 0, that the square of its error is multiplied with.
struct SearchBlocks {
  std::size_t count = 0;
  float values[kBlock * kLanes] = {};
  float weights[kBlock * kLanes] = {};
};

// A number for each lane.
struct Lanes {
  float lane[kLanes] = {};
};

// Whole numbers that stand for values (codes), or for the scale of a sub-block: least to greatest.
struct IntegerRange {
  float least = 0, greatest = 0;
};

// Scales of sub-blocks as whole multiples of a block's step, what they leave as the weighted sum of
// squared errors, and the sums over a sub-block's codes q, values x and weights w from which a
// better step follows.
struct SubScales {
  Lanes scale, minimum;  // whole numbers; minimum: 0 where the encoding has none
  Lanes error;
  Lanes w, wx, wq, wqq, wqx;
};

struct SearchKernels {
  // scale such that scale * q, with q of `codes`, is near the values: candidates around the one
  // that puts the value of largest magnitude on codes.least, the best of them improved by least
  // squares.
  void (*fit_scale)(const SearchBlocks&, IntegerRange codes, Lanes& scale);
  // scale >= 0 and minimum such that scale * q - minimum, with q of 0 to `greatest`, is near the
  // values. positive_minimum: only minima >= 0 can be written.
  void (*fit_scale_and_minimum)(const SearchBlocks&, float greatest, bool positive_minimum,
                                Lanes& scale, Lanes& minimum);
  // Of the whole numbers next to sub.scale (within `scales`), the best for values near
  // step * scale * q.
  void (*adjust_scale)(const SearchBlocks&, IntegerRange codes, IntegerRange scales,
                       const Lanes& step, SubScales& sub);
  // The same for step * scale * q - minimum_step * minimum, both of 0 to `scales`, with the minimum
  // that least squares gives.
  void (*adjust_scale_and_minimum)(const SearchBlocks&, float greatest, float scales,
                                   const Lanes& step, const Lanes& minimum_step, SubScales& sub);
  // The nearest codes: (value + minimum) / scale, rounded; 0 where scale is 0. Laid out as the
  // values.
  void (*encode)(const SearchBlocks&, IntegerRange codes, const Lanes& scale, const Lanes& minimum,
                 float* output);
};

const SearchKernels& search_kernels(Isa isa);

}  // namespace malina::math
