// IQ4_XS: 256 values of 4 bits that select from a table; each 32 have a signed 6-bit scale. File: d
// (f16), the upper bits of the scales (u16), 4 bytes of their lower halves, 128 bytes of nibbles.
#define MALINA_KERNELS "math/encodings/iq4_xs.cpp"

#include "math/simd/foreach_isa.h"
#include "math/simd/packed_lines.h"
#include "math/simd/product_of_blocks.h"

MALINA_ISA_BEGIN

// 8 parts of 4 lines of nibbles; then 16 d, 16 words of upper scale bits, 4 planes of lower ones.
struct View {
  static constexpr ProductShape kShape{.is_signed = true};
  static constexpr std::size_t kStreamBytes = 272;
  static constexpr std::size_t kPartBytes = 256, kHeader = 8 * kPartBytes;
  const std::byte *super, *block;
  std::size_t part;

  static MALINA_INLINE View at(const std::byte* group, std::size_t b) {
    const std::byte* super = group + b / 8 * (8 * kStreamBytes);
    return {super, super + b % 8 * kPartBytes, b % 8};
  }
  template <int J>
  MALINA_INLINE Bytes codes() const {
    return lookup(kIq4Table, nibbles<J>(block));
  }
  MALINA_INLINE F16x scale() const {
    const std::byte* header = super + kHeader;
    const int shift = static_cast<int>(part % 2 * 4);
    const I16x low = shift_right(byte_plane(header + 64, part / 2), shift) & broadcast_int(15);
    const I16x high = shift_right(load_uint16(header + 32), static_cast<int>(2 * part));
    const I16x scale = (low | shift_left<4>(high & broadcast_int(3))) - broadcast_int(32);
    return load_half_scales(header) * to_float(scale);
  }
};

constexpr Products products = kBlockProducts<View>;

MALINA_ISA_END

#if MALINA_ONCE

#include "math/encodings/block_format.h"

namespace malina::math {
namespace {

struct Format {
  static constexpr std::size_t kValues = 256, kBytes = 136;

  static CodeWords codes(const std::byte* block, std::size_t part) {
    return split_nibbles(block + 8 + part * 16);
  }
  static void read(const std::byte* block, std::size_t part, BlockValues& values) {
    const CodeWords words = codes(block, part);
    for (std::size_t i = 0; i < kBlock; ++i) values.values[i] = kIq4Table[code_at(words, i)];
    const unsigned low = (byte_at(block, 4 + part / 2) >> (part % 2 * 4)) & 15U;
    const unsigned high = (load_integer<std::uint16_t>(block + 2) >> (2 * part)) & 3U;
    const int scale = static_cast<int>(low | (high << 4)) - 32;
    values.scale = load_half(block) * static_cast<float>(scale);
  }
  static void pack(const FileBlocks& blocks, std::byte* packed) {
    for (std::size_t r = 0; r < kGroupRows; ++r) {
      for (std::size_t part = 0; part < 8; ++part) {
        pack_nibbles(codes(blocks[r], part), r, packed + part * 256);
      }
    }
    pack_side_by_side<std::uint16_t>(blocks, 0, packed + 2048);
    pack_side_by_side<std::uint16_t>(blocks, 2, packed + 2080);
    pack_planes(blocks, 4, 4, packed + 2112);
  }
};

}  // namespace

extern const Encoding iq4_xs{
    .name = "iq4_xs",
    .gguf_type = 23,
    .block_values = Format::kValues,
    .block_bytes = Format::kBytes,
    .decode = decode_blocks<Format>,
    .read_block = read_block<Format>,
    .encode = nullptr,
    .pack = pack_blocks<Format>,
    .products = MALINA_ISA_TABLE(products),
};

}  // namespace malina::math

#endif  // MALINA_ONCE
