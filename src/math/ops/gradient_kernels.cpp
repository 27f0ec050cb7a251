#define MALINA_KERNELS "math/ops/gradient_kernels.cpp"
#include "math/simd/foreach_isa.h"
//
#include <algorithm>
#include <cmath>

#include "math/ops/gradient_kernels.h"
#include "math/simd/vector.h"

MALINA_ISA_BEGIN

// Lanes of a row that are left from `i` on, at most 16.
MALINA_INLINE std::size_t lanes(std::size_t i, std::size_t width) {
  return std::min<std::size_t>(16, width - i);
}

// y = x * f * w with f = (mean(x^2) + e)^-1/2, so
// dx = f * (w dy) - x * f^3 / n * sum(w dy x).
void rms_norm(const float* input, const float* weight, float epsilon, const float* output_gradient,
              std::size_t width, float* input_gradient) {
  F16x squares = zero();
  F16x products = zero();
  for (std::size_t i = 0; i < width; i += 16) {
    const std::size_t n = lanes(i, width);
    const F16x x = load(input + i, n);
    squares = fma(x, x, squares);
    products = fma(x, load(weight + i, n) * load(output_gradient + i, n), products);
  }
  const float size = static_cast<float>(width);
  const float factor = 1.0F / std::sqrt(reduce_add(squares) / size + epsilon);
  const F16x along = broadcast(factor * factor * factor * reduce_add(products) / size);
  const F16x across = broadcast(factor);
  for (std::size_t i = 0; i < width; i += 16) {
    const std::size_t n = lanes(i, width);
    const F16x scaled = load(weight + i, n) * load(output_gradient + i, n);
    const F16x gradient = fnma(load(input + i, n), along, scaled * across);
    store(load(input_gradient + i, n) + gradient, input_gradient + i, n);
  }
}

// With z = (x - mean) * f and g = w dy: dx = f * (g - mean(g) - z * mean(g z)).
void layer_norm(const float* input, const float* weight, float epsilon,
                const float* output_gradient, std::size_t width, float* input_gradient) {
  const float size = static_cast<float>(width);
  F16x total = zero();
  for (std::size_t i = 0; i < width; i += 16) total = total + load(input + i, lanes(i, width));
  const F16x mean = broadcast(reduce_add(total) / size);
  F16x squares = zero();
  F16x gradients = zero();
  F16x products = zero();
  for (std::size_t i = 0; i < width; i += 16) {
    const std::size_t n = lanes(i, width);
    const F16x x = select(first_lanes(n), load(input + i, n) - mean, zero());
    const F16x scaled = load(weight + i, n) * load(output_gradient + i, n);
    squares = fma(x, x, squares);
    gradients = gradients + scaled;
    products = fma(x, scaled, products);
  }
  const float factor = 1.0F / std::sqrt(reduce_add(squares) / size + epsilon);
  const F16x level = broadcast(reduce_add(gradients) / size);
  const F16x along = broadcast(factor * factor * reduce_add(products) / size);
  for (std::size_t i = 0; i < width; i += 16) {
    const std::size_t n = lanes(i, width);
    const F16x scaled = load(weight + i, n) * load(output_gradient + i, n) - level;
    const F16x gradient = fnma(load(input + i, n) - mean, along, scaled) * broadcast(factor);
    store(load(input_gradient + i, n) + gradient, input_gradient + i, n);
  }
}

void rms_norm_weight(const float* input, float epsilon, const float* output_gradient,
                     std::size_t width, float* gradient) {
  F16x squares = zero();
  for (std::size_t i = 0; i < width; i += 16) {
    const F16x x = load(input + i, lanes(i, width));
    squares = fma(x, x, squares);
  }
  const F16x factor =
      broadcast(1.0F / std::sqrt(reduce_add(squares) / static_cast<float>(width) + epsilon));
  for (std::size_t i = 0; i < width; i += 16) {
    const std::size_t n = lanes(i, width);
    const F16x normed = load(input + i, n) * factor;
    store(fma(normed, load(output_gradient + i, n), load(gradient + i, n)), gradient + i, n);
  }
}

void layer_norm_weight(const float* input, float epsilon, const float* output_gradient,
                       std::size_t width, float* gradient) {
  const float size = static_cast<float>(width);
  F16x total = zero();
  for (std::size_t i = 0; i < width; i += 16) total = total + load(input + i, lanes(i, width));
  const F16x mean = broadcast(reduce_add(total) / size);
  F16x squares = zero();
  for (std::size_t i = 0; i < width; i += 16) {
    const std::size_t n = lanes(i, width);
    const F16x x = select(first_lanes(n), load(input + i, n) - mean, zero());
    squares = fma(x, x, squares);
  }
  const F16x factor = broadcast(1.0F / std::sqrt(reduce_add(squares) / size + epsilon));
  for (std::size_t i = 0; i < width; i += 16) {
    const std::size_t n = lanes(i, width);
    const F16x normed = (load(input + i, n) - mean) * factor;
    store(fma(normed, load(output_gradient + i, n), load(gradient + i, n)), gradient + i, n);
  }
}

// An activation and its slope.
struct Activated {
  F16x value, slope;
};

// s = 1 / (1 + e^-x); silu = x s; its slope s (1 + x (1 - s)).
MALINA_INLINE Activated silu(F16x x) {
  const F16x one = broadcast(1.0F);
  const F16x s = one / (one + exp(zero() - x));
  return {x * s, s * fma(x, one - s, one)};
}

// gelu = x s(u), u = 2 sqrt(2/pi) (x + 0.044715 x^3); its slope s + x s (1 - s) u'.
MALINA_INLINE Activated gelu(F16x x) {
  const F16x one = broadcast(1.0F);
  const F16x twice = broadcast(1.5957691216F);
  const F16x u = fma(x * x * x, broadcast(0.044715F), x) * twice;
  const F16x s = one / (one + exp(zero() - u));
  const F16x turn = fma(x * x, broadcast(0.134145F), one) * twice;
  return {x * s, fma(x * s * (one - s), turn, s)};
}

template <Activated (*Activation)(F16x)>
void gate(const float* input, const float* up, const float* output_gradient, std::size_t width,
          float* gate_gradient, float* up_gradient) {
  for (std::size_t i = 0; i < width; i += 16) {
    const std::size_t n = lanes(i, width);
    const Activated a = Activation(load(input + i, n));
    const F16x gradient = load(output_gradient + i, n);
    if (up == nullptr) {
      store(gradient * a.slope, gate_gradient + i, n);
      continue;
    }
    const F16x other = load(up + i, n);
    store(gradient * a.value, up_gradient + i, n);
    store(gradient * other * a.slope, gate_gradient + i, n);
  }
}

void softmax(float* row, float scale, std::size_t first, std::size_t last, std::size_t width) {
  float greatest = row[first] * scale;
  for (std::size_t i = first; i < last; ++i) greatest = std::max(greatest, row[i] * scale);
  const F16x top = broadcast(greatest);
  F16x sum = zero();
  std::fill(row, row + first, 0.0F);
  for (std::size_t i = first; i < last; i += 16) {
    const std::size_t n = lanes(i, last);
    const F16x p = select(first_lanes(n), exp(load(row + i, n) * broadcast(scale) - top), zero());
    sum = sum + p;
    store(p, row + i, n);
  }
  const F16x factor = broadcast(1.0F / reduce_add(sum));
  for (std::size_t i = first; i < last; i += 16) {
    const std::size_t n = lanes(i, last);
    store(load(row + i, n) * factor, row + i, n);
  }
  std::fill(row + last, row + width, 0.0F);
}

void softmax_gradient(const float* p, float scale, std::size_t width, float* gradient) {
  F16x sum = zero();
  for (std::size_t i = 0; i < width; i += 16) {
    const std::size_t n = lanes(i, width);
    sum = fma(load(p + i, n), load(gradient + i, n), sum);
  }
  const F16x level = broadcast(reduce_add(sum));
  for (std::size_t i = 0; i < width; i += 16) {
    const std::size_t n = lanes(i, width);
    store((load(gradient + i, n) - level) * load(p + i, n) * broadcast(scale), gradient + i, n);
  }
}

void cross_entropy_gradient(float* logits, std::size_t width, std::size_t target, float log_sum_exp,
                            float weight) {
  for (std::size_t i = 0; i < width; i += 16) {
    const std::size_t n = lanes(i, width);
    store(exp(load(logits + i, n) - broadcast(log_sum_exp)) * broadcast(weight), logits + i, n);
  }
  logits[target] -= weight;
}

#if MALINA_ISA_AVX512
constexpr int kWideRows = 12;
#elif MALINA_ISA_BASELINE
constexpr int kWideRows = 2;
#else
constexpr int kWideRows = 3;
#endif

// Rows m..m+kRows of kVectors * 16 columns.
template <int kRows, int kVectors>
MALINA_INLINE void product_tile(const StridedMatrix& left, const float* right,
                                std::size_t right_stride, std::size_t depth, std::size_t columns,
                                float scale, bool add, float* output, std::size_t output_stride) {
  F16x sums[kRows][kVectors];
  std::size_t count[kVectors];
#pragma GCC unroll 2
  for (std::size_t v = 0; v < kVectors; ++v) {
    count[v] = lanes(16 * v, columns);
#pragma GCC unroll 16
    for (std::size_t m = 0; m < kRows; ++m) sums[m][v] = zero();
  }
  const bool whole = columns == 16 * kVectors;
  for (std::size_t k = 0; k < depth; ++k) {
    F16x factors[kVectors];
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kVectors; ++v)
      factors[v] = whole ? load(right + k * right_stride + 16 * v)
                         : load(right + k * right_stride + 16 * v, count[v]);
    const float* column = left.values + k * left.column_stride;
#pragma GCC unroll 16
    for (std::size_t m = 0; m < kRows; ++m) {
      const F16x factor = broadcast(column[m * left.row_stride]);
#pragma GCC unroll 2
      for (std::size_t v = 0; v < kVectors; ++v) sums[m][v] = fma(factors[v], factor, sums[m][v]);
    }
  }
#pragma GCC unroll 16
  for (std::size_t m = 0; m < kRows; ++m) {
#pragma GCC unroll 2
    for (std::size_t v = 0; v < kVectors; ++v) {
      float* target = output + m * output_stride + 16 * v;
      F16x value = sums[m][v] * broadcast(scale);
      if (add) value = load(target, count[v]) + value;
      store(value, target, count[v]);
    }
  }
}

template <int kRows, int kVectors>
void product_rows(const StridedMatrix& left, const float* right, std::size_t right_stride,
                  std::size_t rows, std::size_t depth, std::size_t columns, float scale, bool add,
                  float* output, std::size_t output_stride) {
  std::size_t done = 0;
  for (; done + kRows <= rows; done += kRows) {
    const StridedMatrix part{left.values + done * left.row_stride, left.row_stride,
                             left.column_stride};
    product_tile<kRows, kVectors>(part, right, right_stride, depth, columns, scale, add,
                                  output + done * output_stride, output_stride);
  }
  if constexpr (kRows > 1) {
    if (done < rows) {
      const StridedMatrix part{left.values + done * left.row_stride, left.row_stride,
                               left.column_stride};
      product_rows<kRows / 2, kVectors>(part, right, right_stride, rows - done, depth, columns,
                                        scale, add, output + done * output_stride, output_stride);
    }
  }
}

void product(const StridedMatrix& left, const float* right, std::size_t right_stride,
             std::size_t rows, std::size_t depth, std::size_t columns, float scale, bool add,
             float* output, std::size_t output_stride) {
  std::size_t n = 0;
  for (; n + 16 < columns; n += 32)
    product_rows<kWideRows, 2>(left, right + n, right_stride, rows, depth,
                               std::min<std::size_t>(32, columns - n), scale, add, output + n,
                               output_stride);
  if (n < columns)
    product_rows<kWideRows, 1>(left, right + n, right_stride, rows, depth, columns - n, scale, add,
                               output + n, output_stride);
}

constexpr GradientKernels kernels{
    rms_norm,   layer_norm, rms_norm_weight,  layer_norm_weight,      gate<silu>,
    gate<gelu>, softmax,    softmax_gradient, cross_entropy_gradient, product};

MALINA_ISA_END

#if MALINA_ONCE
namespace malina::math {

const GradientKernels& gradient_kernels(Isa isa) {
  static constexpr auto kTable = MALINA_ISA_TABLE(kernels);
  return *kTable[static_cast<std::size_t>(isa)];
}

}  // namespace malina::math
#endif
