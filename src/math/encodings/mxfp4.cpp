// MXFP4: 32 values of 4 bits that select from a table, with a power of two as scale. File: the
// exponent (a byte), 16 bytes of nibbles.
#define MALINA_KERNELS "math/encodings/mxfp4.cpp"

#include "math/simd/foreach_isa.h"
#include "math/simd/packed_lines.h"
#include "math/simd/product_of_blocks.h"

MALINA_ISA_BEGIN

// 4 lines of nibbles, 16 exponents. The table is raised by 12 to be unsigned.
struct View {
  static constexpr ProductShape kShape{.maximum = 24, .offset = 12};
  static constexpr std::size_t kStreamBytes = 272;
  const std::byte* block;

  static MALINA_INLINE View at(const std::byte* group, std::size_t b) {
    return {group + b * kStreamBytes};
  }
  template <int J>
  MALINA_INLINE Bytes codes() const {
    return lookup(kMxfp4Table, nibbles<J>(block));
  }
  // 2^(e - 128), which for small e is subnormal, as the exact product of two powers.
  MALINA_INLINE F16x scale() const {
    const I16x exponent = load_uint8(block + 256);
    const I16x half = shift_right<1>(exponent);
    return power_of_two(half - broadcast_int(64)) *
           power_of_two(exponent - half - broadcast_int(64));
  }
};

constexpr Products products = kBlockProducts<View>;

MALINA_ISA_END

#if MALINA_ONCE

#include <cmath>

#include "math/encodings/block_format.h"

namespace malina::math {
namespace {

struct Format {
  static constexpr std::size_t kValues = 32, kBytes = 17;

  static void read(const std::byte* block, std::size_t, BlockValues& values) {
    const CodeWords words = split_nibbles(block + 1);
    for (std::size_t i = 0; i < kBlock; ++i) {
      values.values[i] = kMxfp4Table[code_at(words, i)] - 12;
    }
    values.scale = std::ldexp(1.0F, static_cast<int>(byte_at(block, 0)) - 128);
  }
  static void pack(const FileBlocks& blocks, std::byte* packed) {
    for (std::size_t j = 0; j < 4; ++j) {
      pack_side_by_side<std::uint32_t>(blocks, 1 + 4 * j, packed + j * kLineBytes);
    }
    pack_side_by_side<std::byte>(blocks, 0, packed + 256);
  }
};

}  // namespace

extern const Encoding mxfp4{
    .name = "mxfp4",
    .gguf_type = 39,
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
