// What the writers of block encodings share: the inverse of what block_format.h reads.
#pragma once

#include <algorithm>
#include <cstring>

#include "math/block_search.h"
#include "math/encodings/block_format.h"

namespace malina::math {

// 32 codes of 4 bits (their low ones) as split_nibbles() reads them: 16 bytes.
inline void put_nibbles(const std::uint8_t* codes, std::byte* bytes) {
  for (std::size_t i = 0; i < 16; ++i)
    bytes[i] = static_cast<std::byte>((codes[i] & 15U) | ((codes[i + 16] & 15U) << 4));
}

// Bits of 32 codes, from bit `from` on, into 32 bytes from bit `to` on, which were zero there; as
// split_bytes(bytes, to, mask) reads them.
inline void put_bits(const std::uint8_t* codes, unsigned from, unsigned mask, std::size_t to,
                     std::byte* bytes) {
  for (std::size_t i = 0; i < kBlock; ++i)
    bytes[i] |= static_cast<std::byte>(((codes[i] >> from) & mask) << to);
}

// Bit 4 of 32 codes as 32 bits.
inline void put_fifth_bits(const std::uint8_t* codes, std::byte* bytes) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < kBlock; ++i) bits |= ((codes[i] >> 4) & 1U) << i;
  std::memcpy(bytes, &bits, sizeof(bits));
}

// The scales and minima of 8 parts as k_scale() reads them: 12 bytes, which were zero.
inline void put_k_scales(const FoundBlock& found, std::byte* bytes) {
  for (std::size_t part = 0; part < 8; ++part) {
    const auto scale = static_cast<unsigned>(found.scales[part]);
    const auto minimum = static_cast<unsigned>(found.minimums[part]);
    if (part < 4) {
      bytes[part] |= static_cast<std::byte>(scale);
      bytes[part + 4] |= static_cast<std::byte>(minimum);
    } else {
      bytes[part + 4] |= static_cast<std::byte>((scale & 15U) | ((minimum & 15U) << 4));
      bytes[part - 4] |= static_cast<std::byte>(scale >> 4 << 6);
      bytes[part] |= static_cast<std::byte>(minimum >> 4 << 6);
    }
  }
}

// Without importance the reference's own plain rule, Format::write(values, block); with it a
// search.
template <class Format>
void encode_plain_or_by_search(const float* row, std::size_t columns, const float* importance,
                               std::byte* file_row) {
  if (importance != nullptr)
    encode_by_search<Format>(row, columns, importance, file_row);
  else
    encode_blocks<Format>(row, columns, importance, file_row);
}

}  // namespace malina::math
