// Q2_K: 256 values of 2 bits; each 16 have a 4-bit scale and a 4-bit minimum. File: 16 bytes of
// scales (low halves) and minima (high), 64 bytes of codes, d and dmin (f16).
#define MALINA_KERNELS "math/encodings/q2_k.cpp"

#include "math/simd/foreach_isa.h"
#include "math/simd/packed_lines.h"
#include "math/simd/product_of_blocks.h"

MALINA_ISA_BEGIN

// 8 parts of 2 lines of pairs; then 16 d, 16 dmin and the scale bytes as 16 planes.
struct View {
  static constexpr ProductShape kShape{.maximum = 3, .has_minimum = true, .has_sub_scales = true};
  static constexpr std::size_t kStreamBytes = 168;
  static constexpr std::size_t kPartBytes = 128, kHeader = 8 * kPartBytes;
  const std::byte *super, *block;
  std::size_t part;

  static MALINA_INLINE View at(const std::byte* group, std::size_t b) {
    const std::byte* super = group + b / 8 * (8 * kStreamBytes);
    return {super, super + b % 8 * kPartBytes, b % 8};
  }
  template <int J>
  MALINA_INLINE Bytes codes() const {
    return pairs_at<J, 0>(block);
  }
  MALINA_INLINE F16x scale() const { return load_half_scales(super + kHeader); }
  MALINA_INLINE F16x minimum() const {
    return load_half_scales(super + kHeader + 32) * broadcast(-1.0F);
  }
  MALINA_INLINE I16x sub_scale(std::size_t half) const {
    return byte_plane(super + kHeader + 64, 2 * part + half) & broadcast_int(15);
  }
  MALINA_INLINE I16x sub_minimum(std::size_t half) const {
    return shift_right<4>(byte_plane(super + kHeader + 64, 2 * part + half));
  }
};

constexpr Products products = kBlockProducts<View>;

MALINA_ISA_END

#if MALINA_ONCE

#include "math/encodings/block_writing.h"

namespace malina::math {
namespace {

struct Format {
  static constexpr std::size_t kValues = 256, kBytes = 84;
  static constexpr SearchShape kSearch{.block_values = 256,
                                       .sub_values = 16,
                                       .codes = {0, 3},
                                       .scales = {0, 15},
                                       .has_minimum = true};

  static CodeWords codes(const std::byte* block, std::size_t part) {
    return split_bytes(block + 16 + part / 4 * 32, 2 * (part % 4), 3);
  }
  static void read(const std::byte* block, std::size_t part, BlockValues& values) {
    take_values(codes(block, part), 0, values);
    values.scale = load_half(block + 80);
    values.minimum = -load_half(block + 82);
    values.has_minimum = values.has_sub_scales = true;
    for (std::size_t half = 0; half < 2; ++half) {
      const unsigned byte = byte_at(block, 2 * part + half);
      values.scales[half] = static_cast<int>(byte & 15U);
      values.minimums[half] = static_cast<int>(byte >> 4);
    }
  }
  static void pack(const FileBlocks& blocks, std::byte* packed) {
    for (std::size_t r = 0; r < kGroupRows; ++r) {
      for (std::size_t part = 0; part < 8; ++part) {
        pack_pairs(codes(blocks[r], part), 0, r, packed + part * 128);
      }
    }
    pack_side_by_side<std::uint16_t>(blocks, 80, packed + 1024);
    pack_side_by_side<std::uint16_t>(blocks, 82, packed + 1056);
    pack_planes(blocks, 0, 16, packed + 1088);
  }
  static void store(const FoundBlock& found, std::byte* block) {
    std::fill_n(block, kBytes, std::byte{});
    for (std::size_t k = 0; k < 16; ++k)
      block[k] = static_cast<std::byte>(found.scales[k] | (found.minimums[k] << 4));
    for (std::size_t part = 0; part < 8; ++part)
      put_bits(&found.codes[part * kBlock], 0, 3, 2 * (part % 4), block + 16 + part / 4 * 32);
    store_half(found.scale, block + 80);
    store_half(found.minimum, block + 82);
  }
};

}  // namespace

extern const Encoding q2_k{
    .name = "q2_k",
    .gguf_type = 10,
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
