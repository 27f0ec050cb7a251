// A number format: how a weight matrix stands in a file, how it is packed for the processor, and
// its two products. Each format is one constant in one file of math/encodings.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "math/isa.h"

namespace malina::math {

// Weight rows are packed in groups of 16: lane r of a vector belongs to row r of the group, so a
// product never needs a horizontal sum.
inline constexpr std::size_t kGroupRows = 16;
// Activations are quantised in blocks of 32 values, and every block format decodes 32 at a time.
inline constexpr std::size_t kBlock = 32;

// Rows of activations in 8 bits. Row m: values[m * columns ...], scales[m * columns / 32 ...],
// sums[m * columns / 16 ...]; value k is values[k] * scales[k / 32]; sums are of 16 values each.
// scale = max|x| / 127 over the block, values = round-to-nearest-even(x * (127 / max|x|)).
// Borrowed; columns is a multiple of 32; values, scales and sums start 64-byte aligned.
struct QuantizedRows {
  const std::int8_t* values;
  const float* scales;
  const std::int32_t* sums;
  std::size_t rows, columns;
};

struct FloatRows {
  const float* values;  // [rows, columns], contiguous rows
  std::size_t rows, columns;
};

// Where a product goes: element (m, n) is values[m * stride + n]. With `add` the product is added
// to what stands there (one addition after the whole sum), otherwise stored.
struct ProductOutput {
  float* values;
  std::size_t stride;
  bool add;
};

// A packed matrix: ceil(rows / 16) groups of group_bytes(encoding, columns) each, 64-byte aligned.
// The rows that pad the last group are zero.
struct PackedMatrix {
  const std::byte* data;
  std::size_t rows, columns;
};

// The kernels of one encoding for one instruction set. All are const, throw nothing, and may run on
// many threads at once for different groups. Each output element has ONE order of accumulation:
// blocks of 32 columns ascending, one chain of fused multiply-adds, the same for one activation row
// and for many, so results do not depend on batch size, tiling or threads. They are also the same
// bits on every instruction set (math/encodings/reference.h states the arithmetic).
struct Products {
  // output[m, n] = sum over k of W[n, k] * x[m, k] for the rows n of groups [first, last), with
  // activations in 8 bits. Null where the encoding has no integer product (f32, f16, bf16).
  void (*quantized)(const PackedMatrix&, const QuantizedRows&, std::size_t first_group,
                    std::size_t last_group, const ProductOutput&);
  // The same with float activations and weights decoded to float: the exact mode.
  void (*exact)(const PackedMatrix&, const FloatRows&, std::size_t first_group,
                std::size_t last_group, const ProductOutput&);
  // dx[m, k] += sum over n of W[n, k] * dy[m, n] for columns k of [first_column, last_column),
  // which are multiples of 32 (or the end); n ascending. dy: [rows m, W rows]; output: [rows m, W
  // columns].
  void (*transposed)(const PackedMatrix&, const FloatRows& dy, std::size_t first_column,
                     std::size_t last_column, const ProductOutput&);
  // One row of W as floats, exactly what the file's encoding means; output: [columns].
  void (*decode_row)(const PackedMatrix&, std::size_t row, float* output);
};

struct BlockValues;  // math/encodings/reference.h

struct Encoding {
  std::string_view name;    // "q4_1"
  std::uint32_t gguf_type;  // ggml type number
  std::size_t block_values, block_bytes;

  // A row as it stands in a file, to and from floats; columns is a multiple of block_values.
  // `encode` is null where no writer exists. decode is exact: the rounding of the reference
  // implementation (gguf-py dequantize), bit for bit.
  void (*decode)(const std::byte* file_row, std::size_t columns, float* output);
  // Block b (of 32 columns) of a file row as integers and scales, what the integer product is
  // defined by; null where there is no integer product.
  void (*read_block)(const std::byte* file_row, std::size_t block, BlockValues& values);
  // importance: null, or how much an error in each column counts, >= 0, in any unit ([columns]);
  // encodings whose errors hardly matter (f32, f16, bf16, q8_0) ignore it. The values are finite and
  // at most 65504 in magnitude where blocks hold numbers in half precision. The bytes are the same
  // on every instruction set.
  void (*encode)(const float* row, std::size_t columns, const float* importance,
                 std::byte* file_row);

  // Packs up to 16 file rows (null: a row of zeros) into one group of 16 * row_bytes bytes.
  void (*pack)(const std::array<const std::byte*, kGroupRows>& file_rows, std::size_t columns,
               std::byte* group);

  // By math::Isa; an instruction set that was not compiled in has null entries.
  std::array<const Products*, kIsaCount> products;

  std::size_t row_bytes(std::size_t columns) const { return columns / block_values * block_bytes; }
  std::size_t group_bytes(std::size_t columns) const { return kGroupRows * row_bytes(columns); }
};

// All encodings, by name; collected from math/encodings.
std::span<const Encoding* const> encodings();
// Null where there is none.
const Encoding* find_encoding(std::string_view name);
const Encoding* find_encoding(std::uint32_t gguf_type);

}  // namespace malina::math
