// Products with weights decoded to floats: the exact mode of every encoding, the only mode of
// unquantised ones, and the transposed product of training. Kernel header: see foreach_isa.h.
//
// bfloat16 weights are widened to float32: the processors' own bfloat16 dot product rounds
// differently, so it would give other bits, and on Intel it is slower than float32.
//
// A decoder is a struct with
//   static const float* decode(const PackedMatrix&, group, first column, count, float* buffer)
// that gives tile[column][row of the group], in the buffer or where the matrix itself holds it;
// first is a multiple of 32, count is one or reaches the last column.
#ifndef MALINA_ISA
#error "include math/simd/foreach_isa.h first"
#endif
#if defined(MALINA_SIMD_PRODUCT_OF_FLOATS_H) == defined(MALINA_ISA_TOGGLE)
#ifdef MALINA_SIMD_PRODUCT_OF_FLOATS_H
#undef MALINA_SIMD_PRODUCT_OF_FLOATS_H
#else
#define MALINA_SIMD_PRODUCT_OF_FLOATS_H
#endif

#include <algorithm>

#include "math/encoding.h"
#include "math/simd/vector.h"

MALINA_ISA_HEADER_BEGIN

#if MALINA_ISA_AVX512
inline constexpr int kExactTileRows = 12;
#elif MALINA_ISA_BASELINE
inline constexpr int kExactTileRows = 2;
#else
inline constexpr int kExactTileRows = 6;
#endif
inline constexpr std::size_t kExactPanelRows = 48;
// Columns that are decoded at a time: 4 KB of floats.
inline constexpr std::size_t kTileColumns = 64;

// One row of the product for one group: elements beyond the last row of the matrix are not stored.
MALINA_INLINE void store_product(F16x value, const PackedMatrix& matrix,
                                 const ProductOutput& output, std::size_t m, std::size_t group) {
  const std::size_t n = group * kGroupRows;
  float* target = output.values + m * output.stride + n;
  if (n + kGroupRows <= matrix.rows) {
    if (output.add) value = load(target) + value;
    store(value, target);
  } else {
    const std::size_t count = matrix.rows - n;
    if (output.add) value = load(target, count) + value;
    store(value, target, count);
  }
}

// Columns ascending, one chain of fused multiply-adds for each output.
template <int kRows>
void exact_tile(const float* tile, std::size_t count, const float* x, std::size_t stride,
                float (*sums)[kGroupRows]) {
  F16x outputs[kRows];
#pragma GCC unroll 16
  for (int m = 0; m < kRows; ++m) outputs[m] = load(sums[m]);
  for (std::size_t k = 0; k < count; ++k) {
    const F16x weights = load(tile + k * kGroupRows);
#pragma GCC unroll 16
    for (std::size_t m = 0; m < kRows; ++m) {
      outputs[m] = fma(weights, broadcast(x[m * stride + k]), outputs[m]);
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < kRows; ++m) store(outputs[m], sums[m]);
}

template <int kRows>
void exact_tiles(const float* tile, std::size_t count, const float* x, std::size_t stride,
                 std::size_t rows, float (*sums)[kGroupRows]) {
  std::size_t done = 0;
  for (; done + kRows <= rows; done += kRows) {
    exact_tile<kRows>(tile, count, x + done * stride, stride, sums + done);
  }
  if constexpr (kRows > 1) {
    if (done < rows) {
      exact_tiles<kRows / 2>(tile, count, x + done * stride, stride, rows - done, sums + done);
    }
  }
}

// One row of activations and kGroups groups at once: one chain for each output is too few to keep
// the multipliers busy.
template <class Decoder, std::size_t kGroups>
void exact_row(const PackedMatrix& matrix, const float* x, std::size_t group,
               const ProductOutput& output) {
  alignas(64) float buffers[kGroups][kTileColumns * kGroupRows];
  F16x sums[kGroups];
#pragma GCC unroll 4
  for (std::size_t g = 0; g < kGroups; ++g) sums[g] = zero();
  for (std::size_t first = 0; first < matrix.columns; first += kTileColumns) {
    const std::size_t count = std::min(kTileColumns, matrix.columns - first);
    const float* tiles[kGroups];
    for (std::size_t g = 0; g < kGroups; ++g) {
      tiles[g] = Decoder::decode(matrix, group + g, first, count, buffers[g]);
    }
    for (std::size_t k = 0; k < count; ++k) {
      const F16x factor = broadcast(x[first + k]);
#pragma GCC unroll 4
      for (std::size_t g = 0; g < kGroups; ++g) {
        sums[g] = fma(load(tiles[g] + k * kGroupRows), factor, sums[g]);
      }
    }
  }
#pragma GCC unroll 4
  for (std::size_t g = 0; g < kGroups; ++g) store_product(sums[g], matrix, output, 0, group + g);
}

template <class Decoder>
void exact_product(const PackedMatrix& matrix, const FloatRows& x, std::size_t first_group,
                   std::size_t last_group, const ProductOutput& output) {
  if (x.rows == 1) {
    std::size_t g = first_group;
    for (; g + 4 <= last_group; g += 4) exact_row<Decoder, 4>(matrix, x.values, g, output);
    for (; g < last_group; ++g) exact_row<Decoder, 1>(matrix, x.values, g, output);
    return;
  }
  alignas(64) float buffer[kTileColumns * kGroupRows];
  alignas(64) float sums[kExactPanelRows][kGroupRows];
  for (std::size_t row = 0; row < x.rows; row += kExactPanelRows) {
    const std::size_t rows = std::min(kExactPanelRows, x.rows - row);
    for (std::size_t g = first_group; g < last_group; ++g) {
      std::memset(sums, 0, rows * sizeof(sums[0]));
      for (std::size_t first = 0; first < matrix.columns; first += kTileColumns) {
        const std::size_t count = std::min(kTileColumns, matrix.columns - first);
        const float* tile = Decoder::decode(matrix, g, first, count, buffer);
        exact_tiles<kExactTileRows>(tile, count, x.values + row * x.columns + first, x.columns,
                                    rows, sums);
      }
      for (std::size_t m = 0; m < rows; ++m) {
        store_product(load(sums[m]), matrix, output, row + m, g);
      }
    }
  }
}

// --- dx = W^T dy ---

// Columns of W that are gathered at a time, and rows of dy that pass over them.
inline constexpr std::size_t kSpanColumns = 64;
inline constexpr std::size_t kGradientRows = 128;

// Eight floats, for the compiler's own vectors: on processors with shorter ones it splits them.
using EightFloats = float __attribute__((vector_size(32), aligned(4)));

// Columns k..k+7 of rows r..r+7: tile[column][row] to weights[row][column].
MALINA_INLINE void turn_eight(const float* tile, float (*weights)[kSpanColumns]) {
  EightFloats in[8], pairs[8], fours[8];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < 8; ++i) std::memcpy(&in[i], tile + i * kGroupRows, sizeof(in[i]));
#pragma GCC unroll 4
  for (std::size_t i = 0; i < 8; i += 2) {
    pairs[i] = __builtin_shufflevector(in[i], in[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    pairs[i + 1] = __builtin_shufflevector(in[i], in[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
#pragma GCC unroll 2
  for (std::size_t i = 0; i < 8; i += 4) {
    fours[i] = __builtin_shufflevector(pairs[i], pairs[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
    fours[i + 1] = __builtin_shufflevector(pairs[i], pairs[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    fours[i + 2] = __builtin_shufflevector(pairs[i + 1], pairs[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
    fours[i + 3] = __builtin_shufflevector(pairs[i + 1], pairs[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
  }
#pragma GCC unroll 4
  for (std::size_t i = 0; i < 4; ++i) {
    const EightFloats low =
        __builtin_shufflevector(fours[i], fours[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    const EightFloats high =
        __builtin_shufflevector(fours[i], fours[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    std::memcpy(weights[i], &low, sizeof(low));
    std::memcpy(weights[i + 4], &high, sizeof(high));
  }
}

// tile[column][row] to weights[row][column].
MALINA_INLINE void turn_tile(const float* tile, std::size_t count, float (*weights)[kSpanColumns]) {
  std::size_t k = 0;
  for (; k + 8 <= count; k += 8) {
    using Rows = float(*)[kSpanColumns];
    turn_eight(tile + k * kGroupRows, reinterpret_cast<Rows>(weights[0] + k));
    turn_eight(tile + k * kGroupRows + 8, reinterpret_cast<Rows>(weights[8] + k));
  }
  for (; k < count; ++k) {
    for (std::size_t r = 0; r < kGroupRows; ++r) weights[r][k] = tile[k * kGroupRows + r];
  }
}

// sums[m][0..31] += the group's rows in ascending order; dy: [kRows] at `stride`.
template <int kRows>
MALINA_INLINE void transposed_tile(const float (*weights)[kSpanColumns], std::size_t group_rows,
                                   const float* dy, std::size_t stride, float* sums) {
  F16x low[kRows], high[kRows];
#pragma GCC unroll 16
  for (std::size_t m = 0; m < kRows; ++m) {
    low[m] = load(sums + m * kSpanColumns);
    high[m] = load(sums + m * kSpanColumns + 16);
  }
  for (std::size_t r = 0; r < group_rows; ++r) {
    const F16x first = load(weights[r]), second = load(weights[r] + 16);
#pragma GCC unroll 16
    for (std::size_t m = 0; m < kRows; ++m) {
      const F16x factor = broadcast(dy[m * stride + r]);
      low[m] = fma(first, factor, low[m]);
      high[m] = fma(second, factor, high[m]);
    }
  }
#pragma GCC unroll 16
  for (std::size_t m = 0; m < kRows; ++m) {
    store(low[m], sums + m * kSpanColumns);
    store(high[m], sums + m * kSpanColumns + 16);
  }
}

inline constexpr std::size_t kTransposedTileRows = kExactTileRows / 2;

// Adds one group to the sums of `rows` rows and `count` columns, 32 at a time.
MALINA_INLINE void add_transposed(const float (*weights)[kSpanColumns], std::size_t count,
                                  std::size_t group_rows, const float* dy, std::size_t stride,
                                  std::size_t rows, float* sums) {
  for (std::size_t k = 0; k < count; k += 32) {
    const auto* part = reinterpret_cast<const float(*)[kSpanColumns]>(weights[0] + k);
    std::size_t m = 0;
    for (; m + kTransposedTileRows <= rows; m += kTransposedTileRows) {
      transposed_tile<kTransposedTileRows>(part, group_rows, dy + m * stride, stride,
                                           sums + m * kSpanColumns + k);
    }
    for (; m < rows; ++m) {
      transposed_tile<1>(part, group_rows, dy + m * stride, stride, sums + m * kSpanColumns + k);
    }
  }
}

template <class Decoder>
void transposed_product(const PackedMatrix& matrix, const FloatRows& dy, std::size_t first_column,
                        std::size_t last_column, const ProductOutput& output) {
  alignas(64) float buffer[kSpanColumns * kGroupRows];
  // A part of 32 columns is read whole even where the matrix ends within it: those sums are
  // dropped.
  alignas(64) float weights[kGroupRows][kSpanColumns] = {};
  alignas(64) float sums[kGradientRows][kSpanColumns];
  for (std::size_t first = first_column; first < last_column; first += kSpanColumns) {
    const std::size_t count = std::min(kSpanColumns, last_column - first);
    for (std::size_t row = 0; row < dy.rows; row += kGradientRows) {
      const std::size_t rows = std::min(kGradientRows, dy.rows - row);
      std::memset(sums, 0, rows * sizeof(sums[0]));
      for (std::size_t n = 0; n < matrix.rows; n += kGroupRows) {
        turn_tile(Decoder::decode(matrix, n / kGroupRows, first, count, buffer), count, weights);
        add_transposed(weights, count, std::min(kGroupRows, matrix.rows - n),
                       dy.values + row * dy.columns + n, dy.columns, rows, sums[0]);
      }
      for (std::size_t m = 0; m < rows; ++m) {
        float* target = output.values + (row + m) * output.stride + first;
        for (std::size_t k = 0; k < count; ++k) {
          target[k] = output.add ? target[k] + sums[m][k] : sums[m][k];
        }
      }
    }
  }
}

template <class Decoder>
void decode_packed_row(const PackedMatrix& matrix, std::size_t row, float* output) {
  alignas(64) float buffer[kTileColumns * kGroupRows];
  for (std::size_t first = 0; first < matrix.columns; first += kTileColumns) {
    const std::size_t count = std::min(kTileColumns, matrix.columns - first);
    const float* tile = Decoder::decode(matrix, row / kGroupRows, first, count, buffer);
    for (std::size_t k = 0; k < count; ++k) {
      output[first + k] = tile[k * kGroupRows + row % kGroupRows];
    }
  }
}

// --- Unquantised weights: for each column the 16 rows' numbers side by side ---

struct Float32Decoder {
  static const float* decode(const PackedMatrix& matrix, std::size_t group, std::size_t first,
                             std::size_t, float*) {
    const auto* weights = reinterpret_cast<const float*>(matrix.data);
    return weights + (group * matrix.columns + first) * kGroupRows;
  }
};

template <F16x (*kWiden)(const std::uint16_t*)>
struct HalfDecoder {
  static const float* decode(const PackedMatrix& matrix, std::size_t group, std::size_t first,
                             std::size_t count, float* buffer) {
    const auto* weights = reinterpret_cast<const std::uint16_t*>(matrix.data) +
                          (group * matrix.columns + first) * kGroupRows;
    for (std::size_t k = 0; k < count * kGroupRows; k += kGroupRows) {
      store(kWiden(weights + k), buffer + k);
    }
    return buffer;
  }
};

template <class Decoder>
inline constexpr Products kFloatProducts{
    .quantized = nullptr,
    .exact = exact_product<Decoder>,
    .transposed = transposed_product<Decoder>,
    .decode_row = decode_packed_row<Decoder>,
};

MALINA_ISA_HEADER_END

#endif  // toggle
