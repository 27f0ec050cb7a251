#define MALINA_KERNELS "math/ops/row_kernels.cpp"
#include "math/simd/foreach_isa.h"
//
#include <cmath>

#include "math/ops/row_kernels.h"
#include "math/simd/vector.h"

MALINA_ISA_BEGIN

void rms_norm(const float* input, const float* weight, float epsilon, std::size_t width,
              float* output) {
  const std::size_t whole = width / 16 * 16;
  F16x squares = zero();
  for (std::size_t i = 0; i < whole; i += 16) {
    const F16x x = load(input + i);
    squares = fma(x, x, squares);
  }
  if (whole < width) {
    const F16x x = load(input + whole, width - whole);
    squares = fma(x, x, squares);
  }
  const float mean = reduce_add(squares) / static_cast<float>(width);
  const F16x factor = broadcast(1.0F / std::sqrt(mean + epsilon));
  for (std::size_t i = 0; i < whole; i += 16)
    store(load(input + i) * factor * load(weight + i), output + i);
  if (whole < width) {
    const std::size_t rest = width - whole;
    store(load(input + whole, rest) * factor * load(weight + whole, rest), output + whole, rest);
  }
}

void layer_norm(const float* input, const float* weight, const float* bias, float epsilon,
                std::size_t width, float* output) {
  const std::size_t whole = width / 16 * 16;
  const std::size_t rest = width - whole;
  F16x total = zero();
  for (std::size_t i = 0; i < whole; i += 16) total = total + load(input + i);
  if (rest > 0) total = total + load(input + whole, rest);
  const F16x mean = broadcast(reduce_add(total) / static_cast<float>(width));
  F16x squares = zero();
  for (std::size_t i = 0; i < whole; i += 16) {
    const F16x x = load(input + i) - mean;
    squares = fma(x, x, squares);
  }
  if (rest > 0) {
    const F16x x = select(first_lanes(rest), load(input + whole, rest) - mean, zero());
    squares = fma(x, x, squares);
  }
  const float variance = reduce_add(squares) / static_cast<float>(width);
  const F16x factor = broadcast(1.0F / std::sqrt(variance + epsilon));
  for (std::size_t i = 0; i < whole; i += 16)
    store(fma((load(input + i) - mean) * factor, load(weight + i),
              bias != nullptr ? load(bias + i) : zero()),
          output + i);
  if (rest > 0)
    store(fma((load(input + whole, rest) - mean) * factor, load(weight + whole, rest),
              bias != nullptr ? load(bias + whole, rest) : zero()),
          output + whole, rest);
}

void quantize(const float* input, std::size_t width, std::int8_t* values, float* scales,
              std::int32_t* sums) {
  const F16x limit = broadcast(127.0F);
  for (std::size_t block = 0; block < width / 32; ++block) {
    const F16x a = load(input + 32 * block);
    const F16x b = load(input + 32 * block + 16);
    const float greatest = reduce_max(max(abs(a), abs(b)));
    scales[block] = greatest / 127.0F;
    const F16x inverse = broadcast(greatest > 0 ? 127.0F / greatest : 0.0F);
    // The clamp matters only for values that are not finite: they must not leave 8 bits.
    const I16x low = round_to_int(max(min(a * inverse, limit), zero() - limit));
    const I16x high = round_to_int(max(min(b * inverse, limit), zero() - limit));
    store_int8(low, values + 32 * block);
    store_int8(high, values + 32 * block + 16);
    sums[2 * block] = reduce_add(low);
    sums[2 * block + 1] = reduce_add(high);
  }
}

MALINA_INLINE F16x silu(F16x x) { return x / (broadcast(1.0F) + exp(zero() - x)); }

// x/2 (1 + tanh u) = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3): Hendrycks and Gimpel, 2016.
MALINA_INLINE F16x gelu(F16x x) {
  const F16x inner = fma(x * x * x, broadcast(0.044715F), x) * broadcast(1.5957691216F);
  return x / (broadcast(1.0F) + exp(zero() - inner));
}

template <F16x (*Activation)(F16x)>
void gate(const float* input, const float* up, std::size_t width, float* output) {
  const std::size_t whole = width / 16 * 16;
  for (std::size_t i = 0; i < whole; i += 16) {
    const F16x x = Activation(load(input + i));
    store(up != nullptr ? x * load(up + i) : x, output + i);
  }
  if (whole < width) {
    const std::size_t rest = width - whole;
    const F16x x = Activation(load(input + whole, rest));
    store(up != nullptr ? x * load(up + whole, rest) : x, output + whole, rest);
  }
}

float dot(const float* a, const float* b, std::size_t width) {
  const std::size_t whole = width / 16 * 16;
  F16x sum = zero();
  for (std::size_t i = 0; i < whole; i += 16) sum = fma(load(a + i), load(b + i), sum);
  if (whole < width) sum = fma(load(a + whole, width - whole), load(b + whole, width - whole), sum);
  return reduce_add(sum);
}

double log_sum_exp(const float* input, std::size_t width) {
  const std::size_t whole = width / 16 * 16;
  float greatest = input[0];
  if (whole > 0) {
    F16x most = load(input);
    for (std::size_t i = 16; i < whole; i += 16) most = max(load(input + i), most);
    greatest = reduce_max(most);
  }
  for (std::size_t i = whole; i < width; ++i) greatest = input[i] > greatest ? input[i] : greatest;
  const F16x top = broadcast(greatest);
  // Float sums of 16 terms a lane, then double: 50,000 float additions would lose five digits.
  double total = 0;
  for (std::size_t i = 0; i < whole;) {
    F16x sum = zero();
    for (int term = 0; term < 16 && i < whole; ++term, i += 16)
      sum = sum + exp(load(input + i) - top);
    total += double{reduce_add(sum)};
  }
  if (whole < width) {
    const F16x last = exp(load(input + whole, width - whole) - top);
    total += double{reduce_add(select(first_lanes(width - whole), last, zero()))};
  }
  return double{greatest} + std::log(total);
}

constexpr RowKernels kernels{rms_norm,   layer_norm, quantize,    gate<silu>,
                             gate<gelu>, dot,        log_sum_exp};

MALINA_ISA_END

#if MALINA_ONCE
namespace malina::math {

const RowKernels& row_kernels(Isa isa) {
  static constexpr auto kTable = MALINA_ISA_TABLE(kernels);
  return *kTable[static_cast<std::size_t>(isa)];
}

}  // namespace malina::math
#endif
