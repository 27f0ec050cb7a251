// Q4_1: 32 values of 4 bits with a scale and a minimum. File: d, m (f16), 16 bytes of nibbles.
#define MALINA_KERNELS "math/encodings/q4_1.cpp"

#include "math/simd/foreach_isa.h"
#include "math/simd/packed_lines.h"
#include "math/simd/product_of_blocks.h"

MALINA_ISA_BEGIN

// 4 lines of nibbles, 16 scales, 16 minima.
struct View {
  static constexpr ProductShape kShape{.maximum = 15, .has_minimum = true};
  static constexpr std::size_t kStreamBytes = 320;
  const std::byte* block;

  static MALINA_INLINE View at(const std::byte* group, std::size_t b) {
    return {group + b * kStreamBytes};
  }
  template <int J>
  MALINA_INLINE Bytes codes() const {
    return nibbles<J>(block);
  }
  MALINA_INLINE F16x scale() const { return load_half_scales(block + 256); }
  MALINA_INLINE F16x minimum() const { return load_half_scales(block + 288); }
};

constexpr Products products = kBlockProducts<View>;

MALINA_ISA_END

#if MALINA_ONCE

#include <algorithm>

#include "math/encodings/block_writing.h"

namespace malina::math {
namespace {

struct Format {
  static constexpr std::size_t kValues = 32, kBytes = 20;
  static constexpr SearchShape kSearch{
      .block_values = 32, .sub_values = 32, .codes = {0, 15}, .has_minimum = true};

  static void read(const std::byte* block, std::size_t, BlockValues& values) {
    take_values(split_nibbles(block + 4), 0, values);
    values.scale = load_half(block);
    values.minimum = load_half(block + 2);
    values.has_minimum = true;
  }
  static void pack(const FileBlocks& blocks, std::byte* packed) {
    for (std::size_t j = 0; j < 4; ++j) {
      pack_side_by_side<std::uint32_t>(blocks, 4 + 4 * j, packed + j * kLineBytes);
    }
    pack_side_by_side<std::uint16_t>(blocks, 0, packed + 256);
    pack_side_by_side<std::uint16_t>(blocks, 2, packed + 288);
  }
  static void write(const float* values, std::byte* block) {
    const auto [low, high] = std::minmax_element(values, values + kBlock);
    const float scale = (*high - *low) / 15.0F;
    const float inverse = scale != 0.0F ? 1.0F / scale : 0.0F;
    store_half(scale, block);
    store_half(*low, block + 2);
    for (std::size_t i = 0; i < 16; ++i) {
      const auto code = [&](float x) {
        return static_cast<unsigned>(std::min(15.0F, (x - *low) * inverse + 0.5F));
      };
      block[4 + i] = static_cast<std::byte>(code(values[i]) | (code(values[i + 16]) << 4));
    }
  }
  static void store(const FoundBlock& found, std::byte* block) {
    store_half(found.scale, block);
    store_half(-found.minimum, block + 2);
    put_nibbles(found.codes.data(), block + 4);
  }
};

}  // namespace

extern const Encoding q4_1{
    .name = "q4_1",
    .gguf_type = 3,
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
