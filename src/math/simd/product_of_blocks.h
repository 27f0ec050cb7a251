// The products of every encoding whose weights are blocks of 32 small integers, written once over
// the encoding's view of its packed layout. Kernel header: see foreach_isa.h.
//
// A view is a small struct:
//   static constexpr ProductShape kShape;
//   static constexpr std::size_t kStreamBytes;            of a block of 32 columns and 16 rows
//   static View at(const std::byte* group, std::size_t block);
//   template <int J> Bytes codes() const;                 line J of the block
//   F16x scale() const;
//   F16x minimum() const;                                 where the shape has it
//   I16x sub_scale(std::size_t half) const;               likewise
//   I16x sub_minimum(std::size_t half) const;             where it has both
#ifndef MALINA_ISA
#error "include math/simd/foreach_isa.h first"
#endif
#if defined(MALINA_SIMD_PRODUCT_OF_BLOCKS_H) == defined(MALINA_ISA_TOGGLE)
#ifdef MALINA_SIMD_PRODUCT_OF_BLOCKS_H
#undef MALINA_SIMD_PRODUCT_OF_BLOCKS_H
#else
#define MALINA_SIMD_PRODUCT_OF_BLOCKS_H
#endif

#include <algorithm>

#include "math/encoding.h"
#include "math/simd/bytes.h"
#include "math/simd/product_of_floats.h"

MALINA_ISA_HEADER_BEGIN

// Blocks that are unpacked at a time: 24 of at most 900 bytes stay in the first-level cache.
inline constexpr std::size_t kChunkBlocks = 24;
// Rows of activations that pass over an unpacked chunk before the next one.
inline constexpr std::size_t kPanelRows = 64;
// Up to so many rows of activations the weights are unpacked in registers, not in memory.
inline constexpr std::size_t kDirectRows = 2;
// Blocks whose activations a direct product prepares at once: rows of up to 16384 columns.
inline constexpr std::size_t kDirectBlocks = 512;
// How far a direct product asks for weights in advance.
inline constexpr std::size_t kPrefetchBytes = 2048;

// What a block contributes besides its codes.
template <ProductShape shape>
struct BlockScales {
  F16x scale, minimum;
  SubScales sub_scales;
  I16x sub_minimums;  // pairs
};

template <class View>
MALINA_INLINE BlockScales<View::kShape> block_scales(const View& view) {
  constexpr ProductShape shape = View::kShape;
  BlockScales<shape> scales;
  scales.scale = view.scale();
  if constexpr (shape.has_minimum) scales.minimum = view.minimum();
  if constexpr (shape.has_sub_scales) {
    scales.sub_scales = make_sub_scales<shape>(view.sub_scale(0), view.sub_scale(1));
    if constexpr (shape.has_minimum) {
      scales.sub_minimums = pairs(view.sub_minimum(0), view.sub_minimum(1));
    }
  }
  return scales;
}

// A packed block, unpacked on the way into registers.
template <class View>
struct DirectBlock {
  View view;
  template <int J>
  MALINA_INLINE Bytes weights() const {
    return dot_operand<View::kShape>(view.template codes<J>());
  }
  MALINA_INLINE BlockScales<View::kShape> scales() const { return block_scales(view); }
};

// An unpacked block in memory.
template <ProductShape shape>
struct alignas(64) UnpackedBlock {
  std::byte lines[kLines][kLineBytes];
  BlockScales<shape> stored_scales;

  template <int J>
  MALINA_INLINE Bytes weights() const {
    return load_bytes(lines[J]);
  }
  MALINA_INLINE const BlockScales<shape>& scales() const { return stored_scales; }
};

template <class View>
void unpack_blocks(const std::byte* group, std::size_t first, std::size_t count,
                   UnpackedBlock<View::kShape>* unpacked) {
  for (std::size_t b = 0; b < count; ++b) {
    const DirectBlock<View> block{View::at(group, first + b)};
    UnpackedBlock<View::kShape>& target = unpacked[b];
    store_bytes(block.template weights<0>(), target.lines[0]);
    store_bytes(block.template weights<1>(), target.lines[1]);
    store_bytes(block.template weights<2>(), target.lines[2]);
    store_bytes(block.template weights<3>(), target.lines[3]);
    store_bytes(block.template weights<4>(), target.lines[4]);
    store_bytes(block.template weights<5>(), target.lines[5]);
    store_bytes(block.template weights<6>(), target.lines[6]);
    store_bytes(block.template weights<7>(), target.lines[7]);
    target.stored_scales = block.scales();
  }
}

// The activations of some rows and up to kBlocks blocks.
template <int kRows, std::size_t kBlocks>
struct TileActivations {
  const std::int8_t* values[kRows];
  const float* scales[kRows];
  float scaled_sums[kRows][kBlocks];         // scale * sum of the block
  std::int32_t corrections[kRows][kBlocks];  // offset * sum, or both half sums as a pair
};

template <ProductShape shape, int kRows, std::size_t kBlocks>
MALINA_INLINE void take_activations(const QuantizedRows& x, std::size_t row, std::size_t first,
                                    std::size_t count, TileActivations<kRows, kBlocks>& tile) {
  const std::size_t row_blocks = x.columns / kBlock;
  for (std::size_t m = 0; m < kRows; ++m) {
    tile.values[m] = x.values + (row + m) * x.columns + first * kBlock;
    tile.scales[m] = x.scales + (row + m) * row_blocks + first;
    const std::int32_t* sums = x.sums + 2 * ((row + m) * row_blocks + first);
    for (std::size_t b = 0; b < count; ++b) {
      const std::int32_t low = sums[2 * b], high = sums[2 * b + 1];
      if constexpr (shape.has_sub_scales) {
        const std::uint32_t pair =
            (static_cast<std::uint32_t>(low) & 0xFFFFU) | (static_cast<std::uint32_t>(high) << 16);
        tile.corrections[m][b] = static_cast<std::int32_t>(pair);
      } else if constexpr (kernel_offset<shape>() != 0) {
        tile.corrections[m][b] = (low + high) * kernel_offset<shape>();
      }
      if constexpr (shape.has_minimum && !shape.has_sub_scales) {
        tile.scaled_sums[m][b] = tile.scales[m][b] * static_cast<float>(low + high);
      }
    }
  }
}

template <int J, ProductShape shape, int kRows, class Block, class Activations>
MALINA_INLINE void add_line(const Block& block, const BlockScales<shape>& scales,
                            const Activations& x, std::size_t b,
                            Accumulator<shape> (&sums)[kRows]) {
  const Bytes weights = block.template weights<J>();
#pragma GCC unroll 16
  for (int m = 0; m < kRows; ++m) {
    const Quad quad = broadcast_quad(x.values[m] + b * kBlock + 4 * J);
    sums[m].template add<J>(weights, quad, scales.sub_scales);
  }
}

// Block b of the tile: one link of the chain of every output.
template <ProductShape shape, int kRows, class Block, class Activations>
MALINA_INLINE void add_block(const Block& block, const Activations& x, std::size_t b,
                             F16x (&outputs)[kRows]) {
  const BlockScales<shape>& scales = block.scales();  // in memory, or of this scope
  Accumulator<shape> sums[kRows];
  add_line<0>(block, scales, x, b, sums);
  add_line<1>(block, scales, x, b, sums);
  add_line<2>(block, scales, x, b, sums);
  add_line<3>(block, scales, x, b, sums);
  add_line<4>(block, scales, x, b, sums);
  add_line<5>(block, scales, x, b, sums);
  add_line<6>(block, scales, x, b, sums);
  add_line<7>(block, scales, x, b, sums);
#pragma GCC unroll 16
  for (int m = 0; m < kRows; ++m) {
    I16x sum = sums[m].finish(scales.sub_scales);
    if constexpr (kernel_offset<shape>() != 0) {
      if constexpr (shape.has_sub_scales) {
        sum = sum - pair_dot(scales.sub_scales.cross, x.corrections[m][b]);
      } else {
        sum = sum - broadcast_int(x.corrections[m][b]);
      }
    }
    const F16x x_scale = broadcast(x.scales[m][b]);
    outputs[m] = fma(to_float(sum), scales.scale * x_scale, outputs[m]);
    if constexpr (shape.has_minimum && shape.has_sub_scales) {
      const I16x minimums = pair_dot(scales.sub_minimums, x.corrections[m][b]);
      outputs[m] = fma(to_float(minimums), scales.minimum * x_scale, outputs[m]);
    } else if constexpr (shape.has_minimum) {
      outputs[m] = fma(scales.minimum, broadcast(x.scaled_sums[m][b]), outputs[m]);
    }
  }
}

template <ProductShape shape, int kRows>
void run_tile(const UnpackedBlock<shape>* blocks, const QuantizedRows& activations, std::size_t row,
              std::size_t first, std::size_t count, float (*sums)[kGroupRows]) {
  TileActivations<kRows, kChunkBlocks> x;
  take_activations<shape>(activations, row, first, count, x);
  F16x outputs[kRows];
#pragma GCC unroll 16
  for (int m = 0; m < kRows; ++m) outputs[m] = load(sums[m]);
  for (std::size_t b = 0; b < count; ++b) add_block<shape, kRows>(blocks[b], x, b, outputs);
#pragma GCC unroll 16
  for (int m = 0; m < kRows; ++m) store(outputs[m], sums[m]);
}

// Tiles of kRows rows, then tiles of half as many for the rest.
template <ProductShape shape, int kRows>
void run_tiles(const UnpackedBlock<shape>* blocks, const QuantizedRows& activations,
               std::size_t row, std::size_t rows, std::size_t first, std::size_t count,
               float (*sums)[kGroupRows]) {
  std::size_t done = 0;
  for (; done + kRows <= rows; done += kRows) {
    run_tile<shape, kRows>(blocks, activations, row + done, first, count, sums + done);
  }
  if constexpr (kRows > 1) {
    if (done < rows) {
      run_tiles<shape, kRows / 2>(blocks, activations, row + done, rows - done, first, count,
                                  sums + done);
    }
  }
}

template <class View>
void quantized_panel(const PackedMatrix& matrix, std::size_t group_bytes,
                     const QuantizedRows& activations, std::size_t row, std::size_t rows,
                     std::size_t first_group, std::size_t last_group, const ProductOutput& output) {
  const std::size_t blocks = matrix.columns / kBlock;
  const std::size_t chunks = (blocks + kChunkBlocks - 1) / kChunkBlocks;
  const std::size_t chunk = (blocks + chunks - 1) / chunks;
  UnpackedBlock<View::kShape> unpacked[kChunkBlocks];
  alignas(64) float sums[kPanelRows][kGroupRows];
  for (std::size_t g = first_group; g < last_group; ++g) {
    std::memset(sums, 0, rows * sizeof(sums[0]));
    for (std::size_t first = 0; first < blocks; first += chunk) {
      const std::size_t count = std::min(chunk, blocks - first);
      unpack_blocks<View>(matrix.data + g * group_bytes, first, count, unpacked);
      run_tiles<View::kShape, kTileRows>(unpacked, activations, row, rows, first, count, sums);
    }
    for (std::size_t m = 0; m < rows; ++m) {
      store_product(load(sums[m]), matrix, output, row + m, g);
    }
  }
}

template <class View, int kRows>
void quantized_direct(const PackedMatrix& matrix, std::size_t group_bytes,
                      const QuantizedRows& activations, std::size_t row, std::size_t first_group,
                      std::size_t last_group, const ProductOutput& output) {
  const std::size_t blocks = matrix.columns / kBlock;
  TileActivations<kRows, kDirectBlocks> x;
  for (std::size_t g = first_group; g < last_group; ++g) {
    const std::byte* group = matrix.data + g * group_bytes;
    F16x outputs[kRows];
#pragma GCC unroll 16
    for (int m = 0; m < kRows; ++m) outputs[m] = zero();
    for (std::size_t first = 0; first < blocks; first += kDirectBlocks) {
      const std::size_t count = std::min(kDirectBlocks, blocks - first);
      if (g == first_group || blocks > kDirectBlocks) {
        take_activations<View::kShape>(activations, row, first, count, x);
      }
      for (std::size_t b = 0; b < count; ++b) {
        const DirectBlock<View> block{View::at(group, first + b)};
        const std::byte* ahead = group + (first + b) * View::kStreamBytes + kPrefetchBytes;
#pragma GCC unroll 16
        for (std::size_t i = 0; i < View::kStreamBytes; i += 64) prefetch(ahead + i);
        add_block<View::kShape, kRows>(block, x, b, outputs);
      }
    }
#pragma GCC unroll 16
    for (std::size_t m = 0; m < kRows; ++m) store_product(outputs[m], matrix, output, row + m, g);
  }
}

template <class View>
struct BlockProducts {
  // Bytes of a group: every block format packs to as many bytes as its file has.
  static std::size_t group_bytes(const PackedMatrix& matrix) {
    return matrix.columns / kBlock * View::kStreamBytes;
  }
  static void quantized(const PackedMatrix& matrix, const QuantizedRows& x, std::size_t first_group,
                        std::size_t last_group, const ProductOutput& output) {
    const std::size_t bytes = group_bytes(matrix);
    if (x.rows == 1) {
      quantized_direct<View, 1>(matrix, bytes, x, 0, first_group, last_group, output);
    } else if (x.rows == 2) {
      quantized_direct<View, 2>(matrix, bytes, x, 0, first_group, last_group, output);
    } else {
      for (std::size_t row = 0; row < x.rows; row += kPanelRows) {
        const std::size_t rows = std::min(kPanelRows, x.rows - row);
        quantized_panel<View>(matrix, bytes, x, row, rows, first_group, last_group, output);
      }
    }
  }

  // Columns first..first + count of the group, as tile[column][row]; both multiples of 32.
  static const float* decode(const PackedMatrix& matrix, std::size_t group, std::size_t first,
                             std::size_t count, float* tile) {
    const std::byte* data = matrix.data + group * group_bytes(matrix);
    for (std::size_t b = 0; b < count / kBlock; ++b) {
      decode_block(View::at(data, first / kBlock + b), tile + b * kBlock * kGroupRows);
    }
    return tile;
  }

 private:
  template <int J, int T>
  static MALINA_INLINE void decode_column(Bytes codes, F16x scale, F16x minimum, float* tile) {
    constexpr ProductShape shape = View::kShape;
    I16x integers;
    if constexpr (shape.is_signed) {
      integers = signed_column<T>(codes);
    } else {
      integers = column<T>(codes) - broadcast_int(shape.offset);
    }
    F16x value = scale * to_float(integers);
    if constexpr (shape.has_minimum) value = value + minimum;
    store(value, tile + (4 * J + T) * kGroupRows);
  }
  template <int J>
  static MALINA_INLINE void decode_line(const View& view, const F16x (&scale)[2],
                                        const F16x (&minimum)[2], float* tile) {
    const Bytes codes = view.template codes<J>();
    decode_column<J, 0>(codes, scale[J / 4], minimum[J / 4], tile);
    decode_column<J, 1>(codes, scale[J / 4], minimum[J / 4], tile);
    decode_column<J, 2>(codes, scale[J / 4], minimum[J / 4], tile);
    decode_column<J, 3>(codes, scale[J / 4], minimum[J / 4], tile);
  }
  static void decode_block(const View& view, float* tile) {
    constexpr ProductShape shape = View::kShape;
    F16x scale[2], minimum[2];
    for (std::size_t half = 0; half < 2; ++half) {
      scale[half] = view.scale();
      if constexpr (shape.has_minimum) minimum[half] = view.minimum();
      if constexpr (shape.has_sub_scales) {
        scale[half] = scale[half] * to_float(view.sub_scale(half));
        if constexpr (shape.has_minimum) {
          minimum[half] = minimum[half] * to_float(view.sub_minimum(half));
        }
      }
    }
    decode_line<0>(view, scale, minimum, tile);
    decode_line<1>(view, scale, minimum, tile);
    decode_line<2>(view, scale, minimum, tile);
    decode_line<3>(view, scale, minimum, tile);
    decode_line<4>(view, scale, minimum, tile);
    decode_line<5>(view, scale, minimum, tile);
    decode_line<6>(view, scale, minimum, tile);
    decode_line<7>(view, scale, minimum, tile);
  }
};

template <class View>
inline constexpr Products kBlockProducts{
    .quantized = BlockProducts<View>::quantized,
    .exact = exact_product<BlockProducts<View>>,
    .transposed = transposed_product<BlockProducts<View>>,
    .decode_row = decode_packed_row<BlockProducts<View>>,
};

MALINA_ISA_HEADER_END

#endif  // toggle
