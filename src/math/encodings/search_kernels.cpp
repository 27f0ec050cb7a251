// The method is the published one of llama.cpp's K-quants (weighted least squares for the scale of
// given codes, over candidates of the scale that gives the codes), followed by alternating the two
// until nothing improves much. Products and sums are not fused: the oldest processors would compute
// fused ones in software.
#define MALINA_KERNELS "math/encodings/search_kernels.cpp"
#include "math/simd/foreach_isa.h"
//
#include "math/encodings/search_kernels.h"
#include "math/simd/vector.h"

MALINA_ISA_BEGIN

// A candidate's first guess may be this far from the range's end, in steps of a code.
constexpr int kCandidates = 9;
constexpr float kCandidateStep = 0.1F;
constexpr int kImprovements = 3;

struct Range {
  F16x least, greatest;
};

MALINA_INLINE F16x value_at(const SearchBlocks& blocks, std::size_t i) {
  return load(blocks.values + i * kLanes);
}
MALINA_INLINE F16x weight_at(const SearchBlocks& blocks, std::size_t i) {
  return load(blocks.weights + i * kLanes);
}
// The code for a value in units of the scale. The order of the arguments gives a NaN the least
// code.
MALINA_INLINE F16x code_of(F16x value, const Range& range) {
  return to_float(round_to_int(min(max(value, range.least), range.greatest)));
}
MALINA_INLINE F16x inverse_of(F16x scale) {
  const Mask none = less(abs(scale), broadcast(1e-30F));
  return select(none, zero(), broadcast(1.0F) / select(none, broadcast(1.0F), scale));
}
MALINA_INLINE F16x quotient(F16x a, F16x b) {  // 0 where b is
  const Mask none = less(abs(b), broadcast(1e-37F));
  return select(none, zero(), a / select(none, broadcast(1.0F), b));
}

// What a candidate has gained over codes that are all 0, and its scale.
struct Best {
  F16x gain, scale;
};

MALINA_INLINE void try_scale(const SearchBlocks& blocks, const Range& range, F16x inverse,
                             Best& best) {
  F16x wqx = zero(), wqq = zero();
  for (std::size_t i = 0; i < blocks.count; ++i) {
    const F16x x = value_at(blocks, i);
    const F16x q = code_of(x * inverse, range);
    const F16x wq = weight_at(blocks, i) * q;
    wqx = wqx + wq * x;
    wqq = wqq + wq * q;
  }
  const F16x scale = quotient(wqx, wqq);
  const F16x gain = wqx * scale;
  const Mask better = greater(gain, best.gain);
  best.gain = select(better, gain, best.gain);
  best.scale = select(better, scale, best.scale);
}

void fit_scale(const SearchBlocks& blocks, IntegerRange codes, Lanes& scale) {
  const Range range{broadcast(codes.least), broadcast(codes.greatest)};
  F16x extreme = zero();
  for (std::size_t i = 0; i < blocks.count; ++i) {
    const F16x x = value_at(blocks, i);
    extreme = select(greater(abs(x), abs(extreme)), x, extreme);
  }
  const F16x unit = inverse_of(extreme);
  Best best{zero(), zero()};
  for (int step = -kCandidates; step <= kCandidates; ++step) {
    const float first = codes.least + kCandidateStep * static_cast<float>(step);
    try_scale(blocks, range, unit * broadcast(first), best);
  }
  for (int i = 0; i < kImprovements; ++i) try_scale(blocks, range, inverse_of(best.scale), best);
  store(best.scale, scale.lane);
}

// Values are measured from the lowest of the block, so that sums of large values that hardly differ
// keep their precision.
struct Affine {
  F16x low;                   // what is subtracted of the values
  F16x w, wx;                 // sums
  bool positive;              // the minimum of the values themselves is to be >= 0
  F16x gain, scale, minimum;  // the best so far; minimum of the values without low
};

// 2 s wqx - 2 m wx - s^2 wqq + 2 s m wq - m^2 w: what codes q, scale s and minimum m take from the
// sum of squares.
MALINA_INLINE F16x affine_gain(const Affine& fit, F16x s, F16x m, F16x wq, F16x wqq, F16x wqx) {
  const F16x two = broadcast(2.0F);
  return s * (two * wqx - s * wqq) - m * (two * fit.wx + m * fit.w) + two * s * m * wq;
}

MALINA_INLINE void take_better(Affine& fit, F16x s, F16x m, F16x wq, F16x wqq, F16x wqx) {
  const F16x gain = affine_gain(fit, s, m, wq, wqq, wqx);
  const F16x valid = select(less(s, zero()), broadcast(-1.0F), gain);
  const Mask better = greater(valid, fit.gain);
  fit.gain = select(better, valid, fit.gain);
  fit.scale = select(better, s, fit.scale);
  fit.minimum = select(better, m, fit.minimum);
}

MALINA_INLINE void try_affine(const SearchBlocks& blocks, const Range& range, F16x inverse,
                              F16x offset, Affine& fit) {
  F16x wq = zero(), wqq = zero(), wqx = zero();
  for (std::size_t i = 0; i < blocks.count; ++i) {
    const F16x x = value_at(blocks, i) - fit.low;
    const F16x q = code_of(x * inverse + offset, range);
    const F16x weighted = weight_at(blocks, i) * q;
    wq = wq + weighted;
    wqq = wqq + weighted * q;
    wqx = wqx + weighted * x;
  }
  const F16x determinant = fit.w * wqq - wq * wq;
  // Nothing tells a scale from a minimum where all codes are the same.
  const Mask same = less(determinant, broadcast(1e-6F) * fit.w * wqq);
  F16x s = select(same, quotient(wqx, wqq), quotient(fit.w * wqx - wq * fit.wx, determinant));
  F16x m = select(same, zero(), quotient(wq * wqx - wqq * fit.wx, determinant));
  if (fit.positive) {
    const Mask beyond = less(m, fit.low);
    m = max(m, fit.low);
    s = select(beyond, quotient(wqx + m * wq, wqq), s);
  }
  take_better(fit, s, m, wq, wqq, wqx);
}

void fit_scale_and_minimum(const SearchBlocks& blocks, float greatest, bool positive_minimum,
                           Lanes& scale, Lanes& minimum) {
  const Range range{zero(), broadcast(greatest)};
  F16x low = positive_minimum ? zero() : value_at(blocks, 0), high = low;
  for (std::size_t i = 0; i < blocks.count; ++i) {
    low = min(low, value_at(blocks, i));
    high = max(high, value_at(blocks, i));
  }
  Affine fit{low, zero(), zero(), positive_minimum, zero(), zero(), zero()};
  for (std::size_t i = 0; i < blocks.count; ++i) {
    fit.w = fit.w + weight_at(blocks, i);
    fit.wx = fit.wx + weight_at(blocks, i) * (value_at(blocks, i) - low);
  }
  const F16x mean = zero() - quotient(fit.wx, fit.w);
  fit.minimum = positive_minimum ? max(mean, low) : mean;
  fit.gain = affine_gain(fit, zero(), fit.minimum, zero(), zero(), zero());
  const F16x unit = inverse_of(high - low);
  for (int step = -kCandidates; step <= kCandidates; ++step) {
    const float first = greatest + kCandidateStep * static_cast<float>(step);
    try_affine(blocks, range, unit * broadcast(first), zero(), fit);
  }
  for (int i = 0; i < kImprovements; ++i) {
    const F16x inverse = inverse_of(fit.scale);
    try_affine(blocks, range, inverse, fit.minimum * inverse, fit);
  }
  store(fit.scale, scale.lane);
  store(fit.minimum - low, minimum.lane);
}

struct Sums {
  F16x error, wq, wqq, wqx;
};

MALINA_INLINE Sums sums_of(const SearchBlocks& blocks, const Range& range, F16x scale,
                           F16x minimum) {
  Sums sums{zero(), zero(), zero(), zero()};
  const F16x inverse = inverse_of(scale);
  for (std::size_t i = 0; i < blocks.count; ++i) {
    const F16x x = value_at(blocks, i), w = weight_at(blocks, i);
    const F16x q = code_of((x + minimum) * inverse, range);
    const F16x error = x + minimum - scale * q, weighted = w * q;
    sums.error = sums.error + w * error * error;
    sums.wq = sums.wq + weighted;
    sums.wqq = sums.wqq + weighted * q;
    sums.wqx = sums.wqx + weighted * x;
  }
  return sums;
}

MALINA_INLINE void keep_better(const Sums& sums, F16x scale, F16x minimum, SubScales& sub) {
  const Mask better = less(sums.error, load(sub.error.lane));
  store(select(better, scale, load(sub.scale.lane)), sub.scale.lane);
  store(select(better, minimum, load(sub.minimum.lane)), sub.minimum.lane);
  store(select(better, sums.error, load(sub.error.lane)), sub.error.lane);
  store(select(better, sums.wq, load(sub.wq.lane)), sub.wq.lane);
  store(select(better, sums.wqq, load(sub.wqq.lane)), sub.wqq.lane);
  store(select(better, sums.wqx, load(sub.wqx.lane)), sub.wqx.lane);
}

MALINA_INLINE void begin_adjusting(const SearchBlocks& blocks, SubScales& sub) {
  F16x w = zero(), wx = zero();
  for (std::size_t i = 0; i < blocks.count; ++i) {
    w = w + weight_at(blocks, i);
    wx = wx + weight_at(blocks, i) * value_at(blocks, i);
  }
  store(w, sub.w.lane);
  store(wx, sub.wx.lane);
  store(broadcast(3e38F), sub.error.lane);
}

void adjust_scale(const SearchBlocks& blocks, IntegerRange codes, IntegerRange scales,
                  const Lanes& step, SubScales& sub) {
  const Range range{broadcast(codes.least), broadcast(codes.greatest)};
  const F16x start = load(sub.scale.lane), unit = load(step.lane);
  begin_adjusting(blocks, sub);
  for (int change = -1; change <= 1; ++change) {
    const F16x moved = start + broadcast(static_cast<float>(change));
    const F16x scale = min(max(moved, broadcast(scales.least)), broadcast(scales.greatest));
    keep_better(sums_of(blocks, range, unit * scale, zero()), scale, zero(), sub);
  }
}

void adjust_scale_and_minimum(const SearchBlocks& blocks, float greatest, float scales,
                              const Lanes& step, const Lanes& minimum_step, SubScales& sub) {
  const Range range{zero(), broadcast(greatest)}, whole{zero(), broadcast(scales)};
  const F16x start = load(sub.scale.lane), first_minimum = load(sub.minimum.lane);
  const F16x unit = load(step.lane), minimum_unit = load(minimum_step.lane);
  const F16x inverse = inverse_of(minimum_unit);
  begin_adjusting(blocks, sub);
  const F16x w = load(sub.w.lane), wx = load(sub.wx.lane);
  for (int change = -1; change <= 1; ++change) {
    const F16x scale = code_of(start + broadcast(static_cast<float>(change)), whole);
    const Sums sums = sums_of(blocks, range, unit * scale, minimum_unit * first_minimum);
    keep_better(sums, scale, first_minimum, sub);
    const F16x minimum = code_of(quotient(unit * scale * sums.wq - wx, w) * inverse, whole);
    keep_better(sums_of(blocks, range, unit * scale, minimum_unit * minimum), scale, minimum, sub);
  }
}

void encode(const SearchBlocks& blocks, IntegerRange codes, const Lanes& scale,
            const Lanes& minimum, float* output) {
  const Range range{broadcast(codes.least), broadcast(codes.greatest)};
  const F16x inverse = inverse_of(load(scale.lane)), low = load(minimum.lane);
  for (std::size_t i = 0; i < blocks.count; ++i)
    store(code_of((value_at(blocks, i) + low) * inverse, range), output + i * kLanes);
}

constexpr SearchKernels kernels{fit_scale, fit_scale_and_minimum, adjust_scale,
                                adjust_scale_and_minimum, encode};

MALINA_ISA_END

#if MALINA_ONCE

namespace malina::math {

const SearchKernels& search_kernels(Isa isa) {
  static constexpr auto kTable = MALINA_ISA_TABLE(kernels);
  return *kTable[static_cast<std::size_t>(isa)];
}

}  // namespace malina::math

#endif  // MALINA_ONCE
