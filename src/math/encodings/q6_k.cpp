// Q6_K: 256 values of 6 bits; each 16 have a signed 8-bit scale. File: 128 bytes of nibbles, 64
// bytes of the upper two bits, 16 scales, d (f16).
#define MALINA_KERNELS "math/encodings/q6_k.cpp"

#include "math/simd/foreach_isa.h"
#include "math/simd/packed_lines.h"
#include "math/simd/product_of_blocks.h"

MALINA_ISA_BEGIN

// 8 parts of 4 lines of nibbles and 2 of pairs; then 16 d and the scales as 16 planes.
struct View {
  static constexpr ProductShape kShape{.maximum = 63, .offset = 32, .has_sub_scales = true};
  static constexpr std::size_t kStreamBytes = 420;
  static constexpr std::size_t kPartBytes = 384, kHeader = 8 * kPartBytes;
  const std::byte *super, *block;
  std::size_t part;

  static MALINA_INLINE View at(const std::byte* group, std::size_t b) {
    const std::byte* super = group + b / 8 * (8 * kStreamBytes);
    return {super, super + b % 8 * kPartBytes, b % 8};
  }
  template <int J>
  MALINA_INLINE Bytes codes() const {
    return nibbles<J>(block) | pairs_at<J, 4>(block + 256);
  }
  MALINA_INLINE F16x scale() const { return load_half_scales(super + kHeader); }
  MALINA_INLINE I16x sub_scale(std::size_t half) const {
    const std::byte* plane = super + kHeader + 32 + (2 * part + half) * 16;
    return load_int8(reinterpret_cast<const std::int8_t*>(plane));
  }
};

constexpr Products products = kBlockProducts<View>;

MALINA_ISA_END

#if MALINA_ONCE

#include "math/encodings/block_writing.h"

namespace malina::math {
namespace {

struct Format {
  static constexpr std::size_t kValues = 256, kBytes = 210;
  static constexpr SearchShape kSearch{
      .block_values = 256, .sub_values = 16, .codes = {-32, 31}, .scales = {-128, 127}};

  static CodeWords codes(const std::byte* block, std::size_t part) {
    const std::size_t half = part / 4, quarter = part % 4;
    return combine(split_bytes(block + half * 64 + quarter % 2 * 32, quarter / 2 * 4, 15),
                   split_bytes(block + 128 + half * 32, 2 * quarter, 3), 4);
  }
  static void read(const std::byte* block, std::size_t part, BlockValues& values) {
    take_values(codes(block, part), 32, values);
    values.scale = load_half(block + 208);
    values.has_sub_scales = true;
    for (std::size_t half = 0; half < 2; ++half) {
      values.scales[half] = static_cast<std::int8_t>(block[192 + 2 * part + half]);
    }
  }
  static void pack(const FileBlocks& blocks, std::byte* packed) {
    for (std::size_t r = 0; r < kGroupRows; ++r) {
      for (std::size_t part = 0; part < 8; ++part) {
        const CodeWords words = codes(blocks[r], part);
        pack_nibbles(words, r, packed + part * 384);
        pack_pairs(words, 4, r, packed + part * 384 + 256);
      }
    }
    pack_side_by_side<std::uint16_t>(blocks, 208, packed + 3072);
    pack_planes(blocks, 192, 16, packed + 3104);
  }
  static void store(const FoundBlock& found, std::byte* block) {
    std::fill_n(block, kBytes, std::byte{});
    for (std::size_t part = 0; part < 8; ++part) {
      const std::uint8_t* codes = &found.codes[part * kBlock];
      const std::size_t half = part / 4, quarter = part % 4;
      put_bits(codes, 0, 15, quarter / 2 * 4, block + half * 64 + quarter % 2 * 32);
      put_bits(codes, 4, 3, 2 * quarter, block + 128 + half * 32);
    }
    for (std::size_t k = 0; k < 16; ++k) block[192 + k] = static_cast<std::byte>(found.scales[k]);
    store_half(found.scale, block + 208);
  }
};

}  // namespace

extern const Encoding q6_k{
    .name = "q6_k",
    .gguf_type = 14,
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
