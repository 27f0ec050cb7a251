// Q4_0: 32 values of 4 bits with a scale. File: d (f16), 16 bytes of nibbles.
#define MALINA_KERNELS "math/encodings/q4_0.cpp"

#include "math/simd/foreach_isa.h"
#include "math/simd/packed_lines.h"
#include "math/simd/product_of_blocks.h"

MALINA_ISA_BEGIN

// 4 lines of nibbles, 16 scales.
struct View {
  static constexpr ProductShape kShape{.maximum = 15, .offset = 8};
  static constexpr std::size_t kStreamBytes = 288;
  const std::byte* block;

  static MALINA_INLINE View at(const std::byte* group, std::size_t b) {
    return {group + b * kStreamBytes};
  }
  template <int J>
  MALINA_INLINE Bytes codes() const {
    return nibbles<J>(block);
  }
  MALINA_INLINE F16x scale() const { return load_half_scales(block + 256); }
};

constexpr Products products = kBlockProducts<View>;

MALINA_ISA_END

#if MALINA_ONCE

#include <algorithm>
#include <cmath>

#include "math/encodings/block_writing.h"

namespace malina::math {
namespace {

struct Format {
  static constexpr std::size_t kValues = 32, kBytes = 18;
  static constexpr SearchShape kSearch{.block_values = 32, .sub_values = 32, .codes = {-8, 7}};

  static void read(const std::byte* block, std::size_t, BlockValues& values) {
    take_values(split_nibbles(block + 2), 8, values);
    values.scale = load_half(block);
  }
  static void pack(const FileBlocks& blocks, std::byte* packed) {
    for (std::size_t j = 0; j < 4; ++j) {
      pack_side_by_side<std::uint32_t>(blocks, 2 + 4 * j, packed + j * kLineBytes);
    }
    pack_side_by_side<std::uint16_t>(blocks, 0, packed + 256);
  }
  static void write(const float* values, std::byte* block) {
    float largest = 0;  // the value of largest magnitude, which becomes -8
    for (std::size_t i = 0; i < kBlock; ++i) {
      if (std::fabs(values[i]) > std::fabs(largest)) largest = values[i];
    }
    const float scale = largest / -8.0F;
    const float inverse = scale != 0.0F ? 1.0F / scale : 0.0F;
    store_half(scale, block);
    for (std::size_t i = 0; i < 16; ++i) {
      const auto code = [&](float x) {
        return static_cast<unsigned>(std::min(15.0F, x * inverse + 8.5F));
      };
      block[2 + i] = static_cast<std::byte>(code(values[i]) | (code(values[i + 16]) << 4));
    }
  }
  static void store(const FoundBlock& found, std::byte* block) {
    store_half(found.scale, block);
    put_nibbles(found.codes.data(), block + 2);
  }
};

}  // namespace

extern const Encoding q4_0{
    .name = "q4_0",
    .gguf_type = 2,
    .block_values = Format::kValues,
    .block_bytes = Format::kBytes,
    .decode = decode_blocks<Format>,
    .read_block = read_block<Format>,
    .encode = encode_plain_or_by_search<Format>,
    .pack = pack_blocks<Format>,
    .products = MALINA_ISA_TABLE(products),
};

}  // namespace malina::math

#endif  // MALINA_ONCE
