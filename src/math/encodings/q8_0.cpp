// Q8_0: 32 signed bytes with a scale. File: d (f16), 32 bytes.
#define MALINA_KERNELS "math/encodings/q8_0.cpp"

#include "math/simd/foreach_isa.h"
#include "math/simd/packed_lines.h"
#include "math/simd/product_of_blocks.h"

MALINA_ISA_BEGIN

// 8 lines of bytes, 16 scales.
struct View {
  static constexpr ProductShape kShape{.is_signed = true};
  static constexpr std::size_t kStreamBytes = 544;
  const std::byte* block;

  static MALINA_INLINE View at(const std::byte* group, std::size_t b) {
    return {group + b * kStreamBytes};
  }
  template <int J>
  MALINA_INLINE Bytes codes() const {
    return load_bytes(block + J * kLineBytes);
  }
  MALINA_INLINE F16x scale() const { return load_half_scales(block + 512); }
};

constexpr Products products = kBlockProducts<View>;

MALINA_ISA_END

#if MALINA_ONCE

#include <algorithm>
#include <cmath>

#include "math/encodings/block_format.h"

namespace malina::math {
namespace {

struct Format {
  static constexpr std::size_t kValues = 32, kBytes = 34;

  static void read(const std::byte* block, std::size_t, BlockValues& values) {
    for (std::size_t i = 0; i < kBlock; ++i) {
      values.values[i] = static_cast<std::int8_t>(block[2 + i]);
    }
    values.scale = load_half(block);
  }
  static void pack(const FileBlocks& blocks, std::byte* packed) {
    for (std::size_t j = 0; j < kLines; ++j) {
      pack_side_by_side<std::uint32_t>(blocks, 2 + 4 * j, packed + j * kLineBytes);
    }
    pack_side_by_side<std::uint16_t>(blocks, 0, packed + 512);
  }
  static void write(const float* values, std::byte* block) {
    float largest = 0;
    for (std::size_t i = 0; i < kBlock; ++i) largest = std::max(largest, std::fabs(values[i]));
    const float scale = largest / 127.0F;
    const float inverse = scale != 0.0F ? 1.0F / scale : 0.0F;
    store_half(scale, block);
    for (std::size_t i = 0; i < kBlock; ++i) {
      const float code = std::round(values[i] * inverse);     // half away from zero
      const bool inside = code >= -127.0F && code <= 127.0F;  // a NaN is not
      block[2 + i] = static_cast<std::byte>(inside ? static_cast<int>(code) : 0);
    }
  }
};

}  // namespace

extern const Encoding q8_0{
    .name = "q8_0",
    .gguf_type = 8,
    .block_values = Format::kValues,
    .block_bytes = Format::kBytes,
    .decode = decode_blocks<Format>,
    .read_block = read_block<Format>,
    .encode = encode_blocks<Format>,
    .pack = pack_blocks<Format>,
    .products = MALINA_ISA_TABLE(products),
};

}  // namespace malina::math

#endif  // MALINA_ONCE
