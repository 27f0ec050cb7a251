// Q5_0: 32 values of 5 bits with a scale. File: d (f16), 32 fifth bits, 16 bytes of nibbles.
#define MALINA_KERNELS "math/encodings/q5_0.cpp"

#include "math/simd/foreach_isa.h"
#include "math/simd/packed_lines.h"
#include "math/simd/product_of_blocks.h"

MALINA_ISA_BEGIN

// 4 lines of nibbles, 1 of fifth bits, 16 scales.
struct View {
  static constexpr ProductShape kShape{.maximum = 31, .offset = 16};
  static constexpr std::size_t kStreamBytes = 352;
  const std::byte* block;

  static MALINA_INLINE View at(const std::byte* group, std::size_t b) {
    return {group + b * kStreamBytes};
  }
  template <int J>
  MALINA_INLINE Bytes codes() const {
    return nibbles<J>(block) | single_at<J, 4>(block + 256);
  }
  MALINA_INLINE F16x scale() const { return load_half_scales(block + 320); }
};

constexpr Products products = kBlockProducts<View>;

MALINA_ISA_END

#if MALINA_ONCE

#include "math/encodings/block_writing.h"

namespace malina::math {
namespace {

struct Format {
  static constexpr std::size_t kValues = 32, kBytes = 22;
  static constexpr SearchShape kSearch{.block_values = 32, .sub_values = 32, .codes = {-16, 15}};

  static void read(const std::byte* block, std::size_t, BlockValues& values) {
    const auto fifth = load_integer<std::uint32_t>(block + 2);
    const CodeWords words = split_nibbles(block + 6);
    for (std::size_t i = 0; i < kBlock; ++i) {
      values.values[i] = static_cast<int>(code_at(words, i) | (((fifth >> i) & 1U) << 4)) - 16;
    }
    values.scale = load_half(block);
  }
  static void pack(const FileBlocks& blocks, std::byte* packed) {
    for (std::size_t j = 0; j < 4; ++j) {
      pack_side_by_side<std::uint32_t>(blocks, 6 + 4 * j, packed + j * kLineBytes);
    }
    for (std::size_t r = 0; r < kGroupRows; ++r) {
      pack_fifth_bits(load_integer<std::uint32_t>(blocks[r] + 2), r, packed + 256);
    }
    pack_side_by_side<std::uint16_t>(blocks, 0, packed + 320);
  }
  static void store(const FoundBlock& found, std::byte* block) {
    store_half(found.scale, block);
    put_fifth_bits(found.codes.data(), block + 2);
    put_nibbles(found.codes.data(), block + 6);
  }
};

}  // namespace

extern const Encoding q5_0{
    .name = "q5_0",
    .gguf_type = 6,
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
