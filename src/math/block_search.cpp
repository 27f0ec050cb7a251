#include "math/block_search.h"

#include <algorithm>
#include <cmath>

#include "base/float16.h"

namespace malina::math {

namespace {

// How often the block's step follows from its sub-blocks' scales and these from the step.
constexpr int kRounds = 2;
// A column that the calibration never reached still counts a little.
constexpr float kLeastImportance = 1e-4F;

float to_half(float value) { return base::float16_to_float(base::float_to_float16(value)); }

float whole_multiple(float value, float step, IntegerRange range) {
  return step == 0 ? 0 : std::clamp(std::nearbyint(value / step), range.least, range.greatest);
}

}  // namespace

float importance_factor(const float* importance, std::size_t columns) {
  double sum = 0;
  for (std::size_t i = 0; i < columns; ++i) sum += importance[i];
  const double factor = sum > 0 ? static_cast<double>(columns) / sum : 1;
  return static_cast<float>(std::min(factor, 1e30));  // finite also where all are denormal
}

BlockSearch::BlockSearch(const SearchShape& shape, Isa isa)
    : shape_(shape), kernels_(search_kernels(isa)) {}

void BlockSearch::run(const float* values, const float* importance, float importance_factor,
                      std::size_t count, FoundBlock* found) {
  place(values, importance, importance_factor, count);
  if (lanes_of_block() == 1)
    find_single_scales();
  else
    find_sub_scales();
  Lanes scale, minimum;
  for (std::size_t r = 0; r < kLanes; ++r) {
    scale.lane[r] = step_.lane[r] * sub_.scale.lane[r];
    minimum.lane[r] = minimum_step_.lane[r] * sub_.minimum.lane[r];
  }
  kernels_.encode(blocks_, shape_.codes, scale, minimum, codes_);
  collect(count, found);
}

void BlockSearch::place(const float* values, const float* importance, float factor,
                        std::size_t count) {
  blocks_ = {.count = shape_.sub_values};
  std::fill(std::begin(blocks_.weights), std::end(blocks_.weights), 1.0F);
  for (std::size_t first = 0; first < count; first += shape_.block_values) {
    float squares = 0;
    for (std::size_t i = first; i < first + shape_.block_values; ++i)
      squares += values[i] * values[i];
    const float mean = squares / static_cast<float>(shape_.block_values);
    for (std::size_t i = first; i < first + shape_.block_values; ++i) {
      const std::size_t place = i % shape_.sub_values * kLanes + i / shape_.sub_values;
      blocks_.values[place] = values[i];
      if (importance == nullptr || mean == 0) continue;
      const float relative = std::sqrt(1 + values[i] * values[i] / mean);
      blocks_.weights[place] = std::max(importance[i] * factor, kLeastImportance) * relative;
    }
  }
}

void BlockSearch::find_single_scales() {
  Lanes scale, minimum;
  if (shape_.has_minimum)
    kernels_.fit_scale_and_minimum(blocks_, shape_.codes.greatest, false, scale, minimum);
  else
    kernels_.fit_scale(blocks_, shape_.codes, scale);
  for (std::size_t r = 0; r < kLanes; ++r) {
    step_.lane[r] = to_half(scale.lane[r]);
    minimum_step_.lane[r] = to_half(minimum.lane[r]);
    sub_.scale.lane[r] = sub_.minimum.lane[r] = 1;
  }
}

void BlockSearch::find_sub_scales() {
  Lanes scale, minimum;
  if (shape_.has_minimum)
    kernels_.fit_scale_and_minimum(blocks_, shape_.codes.greatest, true, scale, minimum);
  else
    kernels_.fit_scale(blocks_, shape_.codes, scale);
  first_steps(scale, minimum);
  adjust();
  const std::size_t lanes = lanes_of_block();
  for (int round = 0; round < kRounds; ++round) {
    const Lanes step = step_, minimum_step = minimum_step_;
    const SubScales before = sub_;
    for (std::size_t first = 0; first < kLanes; first += lanes) better_steps(first);
    adjust();
    for (std::size_t first = 0; first < kLanes; first += lanes)
      if (!(error_of(sub_, first) < error_of(before, first)))
        restore(first, before, step, minimum_step);
  }
}

float BlockSearch::error_of(const SubScales& sub, std::size_t first_lane) const {
  float error = 0;
  for (std::size_t r = first_lane; r < first_lane + lanes_of_block(); ++r)
    error += sub.error.lane[r];
  return error;
}

void BlockSearch::restore(std::size_t first_lane, const SubScales& before, const Lanes& step,
                          const Lanes& minimum_step) {
  for (std::size_t r = first_lane; r < first_lane + lanes_of_block(); ++r) {
    step_.lane[r] = step.lane[r];
    minimum_step_.lane[r] = minimum_step.lane[r];
    for (const auto part : {&SubScales::scale, &SubScales::minimum, &SubScales::error,
                            &SubScales::wq, &SubScales::wqq, &SubScales::wqx})
      (sub_.*part).lane[r] = (before.*part).lane[r];
  }
}

void BlockSearch::adjust() {
  if (shape_.has_minimum)
    kernels_.adjust_scale_and_minimum(blocks_, shape_.codes.greatest, shape_.scales.greatest, step_,
                                      minimum_step_, sub_);
  else
    kernels_.adjust_scale(blocks_, shape_.codes, shape_.scales, step_, sub_);
}

// The sub-block with the largest scale gets the largest multiple.
void BlockSearch::first_steps(const Lanes& scale, const Lanes& minimum) {
  const std::size_t lanes = lanes_of_block();
  const float most = shape_.has_minimum ? shape_.scales.greatest : shape_.scales.least;
  const IntegerRange minimums{0, shape_.scales.greatest};
  for (std::size_t first = 0; first < kLanes; first += lanes) {
    float extreme = 0, greatest = 0;
    for (std::size_t r = first; r < first + lanes; ++r) {
      if (std::fabs(scale.lane[r]) > std::fabs(extreme)) extreme = scale.lane[r];
      greatest = std::max(greatest, minimum.lane[r]);
    }
    for (std::size_t r = first; r < first + lanes; ++r) {
      step_.lane[r] = to_half(extreme / most);
      minimum_step_.lane[r] = to_half(greatest / minimums.greatest);
      sub_.scale.lane[r] = whole_multiple(scale.lane[r], step_.lane[r], shape_.scales);
      sub_.minimum.lane[r] = whole_multiple(minimum.lane[r], minimum_step_.lane[r], minimums);
    }
  }
}

// Least squares for the steps of the block whose lanes begin here, its codes and whole numbers as
// they are: with scales s and minima m of sub-blocks, the sum of w (x - a s q + b m)^2 is least.
void BlockSearch::better_steps(std::size_t first_lane) {
  double ss = 0, sm = 0, mm = 0, sx = 0, mx = 0;
  for (std::size_t r = first_lane; r < first_lane + lanes_of_block(); ++r) {
    const double s = sub_.scale.lane[r], m = sub_.minimum.lane[r];
    ss += s * s * sub_.wqq.lane[r];
    sm += s * m * sub_.wq.lane[r];
    mm += m * m * sub_.w.lane[r];
    sx += s * sub_.wqx.lane[r];
    mx += m * sub_.wx.lane[r];
  }
  const double determinant = ss * mm - sm * sm;
  double a = 0, b = 0;
  if (determinant > 1e-6 * ss * mm) {
    a = (mm * sx - sm * mx) / determinant;
    b = (sm * sx - ss * mx) / determinant;
  } else if (ss > 0) {
    a = sx / ss;
  }
  if (a == 0 || b < 0) return;
  for (std::size_t r = first_lane; r < first_lane + lanes_of_block(); ++r) {
    step_.lane[r] = to_half(static_cast<float>(a));
    if (mm > 0) minimum_step_.lane[r] = to_half(static_cast<float>(b));
  }
}

void BlockSearch::collect(std::size_t count, FoundBlock* found) const {
  const std::size_t lanes = lanes_of_block(), width = shape_.sub_values;
  for (std::size_t b = 0; b < count / shape_.block_values; ++b) {
    FoundBlock& block = found[b];
    block.scale = step_.lane[b * lanes];
    block.minimum = minimum_step_.lane[b * lanes];
    for (std::size_t s = 0; s < lanes; ++s) {
      const std::size_t r = b * lanes + s;
      block.scales[s] = static_cast<int>(sub_.scale.lane[r]);
      block.minimums[s] = static_cast<int>(sub_.minimum.lane[r]);
      for (std::size_t i = 0; i < width; ++i)
        block.codes[s * width + i] =
            static_cast<std::uint8_t>(codes_[i * kLanes + r] - shape_.codes.least);
    }
  }
}

}  // namespace malina::math
