// Q5_K: 256 values of 5 bits; each 32 have a 6-bit scale and a 6-bit minimum. File: d, dmin (f16),
// 12 bytes of scales and minima, 32 bytes of fifth bits, 128 bytes of nibbles.
#define MALINA_KERNELS "math/encodings/q5_k.cpp"

#include "math/simd/foreach_isa.h"
#include "math/simd/packed_lines.h"
#include "math/simd/product_of_blocks.h"

MALINA_ISA_BEGIN

// 8 parts of 4 lines of nibbles and 1 of fifth bits; then 16 d, 16 dmin and the scale bytes as 12
// planes.
struct View {
  static constexpr ProductShape kShape{.maximum = 31, .has_minimum = true};
  static constexpr std::size_t kStreamBytes = 352;
  static constexpr std::size_t kPartBytes = 320, kHeader = 8 * kPartBytes;
  const std::byte *super, *block;
  std::size_t part;

  static MALINA_INLINE View at(const std::byte* group, std::size_t b) {
    const std::byte* super = group + b / 8 * (8 * kStreamBytes);
    return {super, super + b % 8 * kPartBytes, b % 8};
  }
  template <int J>
  MALINA_INLINE Bytes codes() const {
    return nibbles<J>(block) | single_at<J, 4>(block + 256);
  }
  MALINA_INLINE F16x scale() const {
    return load_half_scales(super + kHeader) * to_float(k_scale(super + kHeader + 64, part));
  }
  MALINA_INLINE F16x minimum() const {
    const F16x minimum = to_float(k_minimum(super + kHeader + 64, part));
    return load_half_scales(super + kHeader + 32) * minimum * broadcast(-1.0F);
  }
};

constexpr Products products = kBlockProducts<View>;

MALINA_ISA_END

#if MALINA_ONCE

#include "math/encodings/block_writing.h"

namespace malina::math {
namespace {

struct Format {
  static constexpr std::size_t kValues = 256, kBytes = 176;
  static constexpr SearchShape kSearch{.block_values = 256,
                                       .sub_values = 32,
                                       .codes = {0, 31},
                                       .scales = {0, 63},
                                       .has_minimum = true};

  static CodeWords codes(const std::byte* block, std::size_t part) {
    return combine(split_bytes(block + 48 + part / 2 * 32, 4 * (part % 2), 15),
                   split_bytes(block + 16, part, 1), 4);
  }
  static void read(const std::byte* block, std::size_t part, BlockValues& values) {
    take_values(codes(block, part), 0, values);
    const KScale scale = k_scale(block + 4, part);
    values.scale = load_half(block) * static_cast<float>(scale.scale);
    values.minimum = -(load_half(block + 2) * static_cast<float>(scale.minimum));
    values.has_minimum = true;
  }
  static void pack(const FileBlocks& blocks, std::byte* packed) {
    for (std::size_t r = 0; r < kGroupRows; ++r) {
      for (std::size_t part = 0; part < 8; ++part) {
        const CodeWords words = codes(blocks[r], part);
        pack_nibbles(words, r, packed + part * 320);
        pack_single(words, 4, r, packed + part * 320 + 256);
      }
    }
    pack_side_by_side<std::uint16_t>(blocks, 0, packed + 2560);
    pack_side_by_side<std::uint16_t>(blocks, 2, packed + 2592);
    pack_planes(blocks, 4, 12, packed + 2624);
  }
  static void store(const FoundBlock& found, std::byte* block) {
    std::fill_n(block, kBytes, std::byte{});
    store_half(found.scale, block);
    store_half(found.minimum, block + 2);
    put_k_scales(found, block + 4);
    for (std::size_t part = 0; part < 8; ++part) {
      const std::uint8_t* codes = &found.codes[part * kBlock];
      put_bits(codes, 4, 1, part, block + 16);
      put_bits(codes, 0, 15, 4 * (part % 2), block + 48 + part / 2 * 32);
    }
  }
};

}  // namespace

extern const Encoding q5_k{
    .name = "q5_k",
    .gguf_type = 13,
    .block_values = Format::kValues,
    .block_bytes = Format::kBytes,
    .decode = decode_blocks<Format>,
    .read_block = read_block<Format>,
    .encode = encode_by_search<Format>,
    .pack = pack_blocks<Format>,
    .products = MALINA_ISA_TABLE(products),
};

}  // namespace malina::math

#endif  // MALINA_ONCE
