// Q3_K: 256 values of 3 bits; each 16 have a signed 6-bit scale. File: 32 bytes of third bits, 64
// bytes of the lower two, 12 bytes of scales, d (f16).
#define MALINA_KERNELS "math/encodings/q3_k.cpp"

#include "math/simd/foreach_isa.h"
#include "math/simd/packed_lines.h"
#include "math/simd/product_of_blocks.h"

MALINA_ISA_BEGIN

// 8 parts of 2 lines of pairs and 1 of third bits; then 16 d and the scale bytes as 12 planes.
struct View {
  static constexpr ProductShape kShape{.maximum = 7, .offset = 4, .has_sub_scales = true};
  static constexpr std::size_t kStreamBytes = 220;
  static constexpr std::size_t kPartBytes = 192, kHeader = 8 * kPartBytes;
  const std::byte *super, *block;
  std::size_t part;

  static MALINA_INLINE View at(const std::byte* group, std::size_t b) {
    const std::byte* super = group + b / 8 * (8 * kStreamBytes);
    return {super, super + b % 8 * kPartBytes, b % 8};
  }
  template <int J>
  MALINA_INLINE Bytes codes() const {
    return pairs_at<J, 0>(block) | single_at<J, 2>(block + 128);
  }
  MALINA_INLINE F16x scale() const { return load_half_scales(super + kHeader); }
  MALINA_INLINE I16x sub_scale(std::size_t half) const {
    const std::byte* planes = super + kHeader + 32;
    const std::size_t k = 2 * part + half;
    const I16x low = shift_right(byte_plane(planes, k % 8), k < 8 ? 0 : 4) & broadcast_int(15);
    const I16x high = shift_right(byte_plane(planes, 8 + k % 4), static_cast<int>(k / 4 * 2));
    return (low | shift_left<4>(high & broadcast_int(3))) - broadcast_int(32);
  }
};

constexpr Products products = kBlockProducts<View>;

MALINA_ISA_END

#if MALINA_ONCE

#include "math/encodings/block_writing.h"

namespace malina::math {
namespace {

struct Format {
  static constexpr std::size_t kValues = 256, kBytes = 110;
  static constexpr SearchShape kSearch{
      .block_values = 256, .sub_values = 16, .codes = {-4, 3}, .scales = {-32, 31}};

  static CodeWords codes(const std::byte* block, std::size_t part) {
    return combine(split_bytes(block + 32 + part / 4 * 32, 2 * (part % 4), 3),
                   split_bytes(block, part, 1), 2);
  }
  static int sub_scale(const std::byte* bytes, std::size_t k) {
    const unsigned low = k < 8 ? byte_at(bytes, k) & 15U : byte_at(bytes, k - 8) >> 4;
    const unsigned high = (byte_at(bytes, 8 + k % 4) >> (k / 4 * 2)) & 3U;
    return static_cast<int>(low | (high << 4)) - 32;
  }
  static void read(const std::byte* block, std::size_t part, BlockValues& values) {
    take_values(codes(block, part), 4, values);
    values.scale = load_half(block + 108);
    values.has_sub_scales = true;
    for (std::size_t half = 0; half < 2; ++half) {
      values.scales[half] = sub_scale(block + 96, 2 * part + half);
    }
  }
  static void pack(const FileBlocks& blocks, std::byte* packed) {
    for (std::size_t r = 0; r < kGroupRows; ++r) {
      for (std::size_t part = 0; part < 8; ++part) {
        const CodeWords words = codes(blocks[r], part);
        pack_pairs(words, 0, r, packed + part * 192);
        pack_single(words, 2, r, packed + part * 192 + 128);
      }
    }
    pack_side_by_side<std::uint16_t>(blocks, 108, packed + 1536);
    pack_planes(blocks, 96, 12, packed + 1568);
  }
  static void store(const FoundBlock& found, std::byte* block) {
    std::fill_n(block, kBytes, std::byte{});
    for (std::size_t part = 0; part < 8; ++part) {
      const std::uint8_t* codes = &found.codes[part * kBlock];
      put_bits(codes, 0, 3, 2 * (part % 4), block + 32 + part / 4 * 32);
      put_bits(codes, 2, 1, part, block);
    }
    std::byte* scales = block + 96;
    for (std::size_t k = 0; k < 16; ++k) {
      const auto scale = static_cast<unsigned>(found.scales[k] + 32);
      scales[k % 8] |= static_cast<std::byte>((scale & 15U) << (k / 8 * 4));
      scales[8 + k % 4] |= static_cast<std::byte>(scale >> 4 << (k / 4 * 2));
    }
    store_half(found.scale, block + 108);
  }
};

}  // namespace

extern const Encoding q3_k{
    .name = "q3_k",
    .gguf_type = 11,
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
