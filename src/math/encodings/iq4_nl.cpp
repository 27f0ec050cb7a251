// IQ4_NL: 32 values of 4 bits that select from a table, with a scale. File: d (f16), 16 bytes of
// nibbles.
#define MALINA_KERNELS "math/encodings/iq4_nl.cpp"

#include "math/simd/foreach_isa.h"
#include "math/simd/packed_lines.h"
#include "math/simd/product_of_blocks.h"

MALINA_ISA_BEGIN

// 4 lines of nibbles, 16 scales.
struct View {
  static constexpr ProductShape kShape{.is_signed = true};
  static constexpr std::size_t kStreamBytes = 288;
  const std::byte* block;

  static MALINA_INLINE View at(const std::byte* group, std::size_t b) {
    return {group + b * kStreamBytes};
  }
  template <int J>
  MALINA_INLINE Bytes codes() const {
    return lookup(kIq4Table, nibbles<J>(block));
  }
  MALINA_INLINE F16x scale() const { return load_half_scales(block + 256); }
};

constexpr Products products = kBlockProducts<View>;

MALINA_ISA_END

#if MALINA_ONCE

#include "math/encodings/block_format.h"

namespace malina::math {
namespace {

struct Format {
  static constexpr std::size_t kValues = 32, kBytes = 18;

  static void read(const std::byte* block, std::size_t, BlockValues& values) {
    const CodeWords words = split_nibbles(block + 2);
    for (std::size_t i = 0; i < kBlock; ++i) values.values[i] = kIq4Table[code_at(words, i)];
    values.scale = load_half(block);
  }
  static void pack(const FileBlocks& blocks, std::byte* packed) {
    for (std::size_t j = 0; j < 4; ++j) {
      pack_side_by_side<std::uint32_t>(blocks, 2 + 4 * j, packed + j * kLineBytes);
    }
    pack_side_by_side<std::uint16_t>(blocks, 0, packed + 256);
  }
};

}  // namespace

extern const Encoding iq4_nl{
    .name = "iq4_nl",
    .gguf_type = 20,
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
