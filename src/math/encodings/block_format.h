// What the files of block encodings share: a format is a struct that says how one block stands in a
// file, and decoding and packing of rows follow from it.
//
//   struct Format {
//     static constexpr std::size_t kValues, kBytes;   // of a block in the file: 32 or 256 values
//     // Part `part` (of kValues / 32) of a block.
//     static void read(const std::byte* block, std::size_t part, BlockValues& values);
//     // The same block of 16 rows into 16 * kBytes bytes.
//     static void pack(const FileBlocks& blocks, std::byte* packed);
//   };
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/float16.h"
#include "math/encoding.h"
#include "math/encodings/reference.h"
#include "math/simd/product_shape.h"

namespace malina::math {

using FileBlocks = std::array<const std::byte*, kGroupRows>;

template <class Integer>
Integer load_integer(const std::byte* source) {
  Integer value;
  std::memcpy(&value, source, sizeof(value));
  return value;
}
inline float load_half(const std::byte* source) {
  return base::float16_to_float(load_integer<std::uint16_t>(source));
}
inline void store_half(float value, std::byte* target) {
  const std::uint16_t half = base::float_to_float16(value);
  std::memcpy(target, &half, sizeof(half));
}
inline unsigned byte_at(const std::byte* source, std::size_t index) {
  return static_cast<unsigned>(source[index]);
}

// The codes of 32 columns as 8 words of 4 bytes: column 4j + t is byte t of word j.
using CodeWords = std::array<std::uint32_t, kLines>;

inline unsigned code_at(const CodeWords& words, std::size_t column) {
  return (words[column / 4] >> (8 * (column % 4))) & 0xFFU;
}

// 16 bytes of which the low halves are columns 0..15, the high halves 16..31.
inline CodeWords split_nibbles(const std::byte* bytes) {
  CodeWords words;
  for (std::size_t j = 0; j < 4; ++j) {
    const auto word = load_integer<std::uint32_t>(bytes + 4 * j);
    words[j] = word & 0x0F0F0F0FU;
    words[j + 4] = (word >> 4) & 0x0F0F0F0FU;
  }
  return words;
}

// 32 bytes, shifted right and masked.
inline CodeWords split_bytes(const std::byte* bytes, std::size_t shift, std::uint32_t mask) {
  CodeWords words;
  for (std::size_t j = 0; j < kLines; ++j) {
    words[j] = (load_integer<std::uint32_t>(bytes + 4 * j) >> shift) & (mask * 0x01010101U);
  }
  return words;
}
inline CodeWords combine(CodeWords low, const CodeWords& high, unsigned shift) {
  for (std::size_t j = 0; j < kLines; ++j) low[j] |= high[j] << shift;
  return low;
}
inline void take_values(const CodeWords& words, int offset, BlockValues& values) {
  for (std::size_t i = 0; i < kBlock; ++i) {
    values.values[i] = static_cast<int>(code_at(words, i)) - offset;
  }
}

// Puts 4 bytes of row r into a line of the packed layout (see math/simd/packed_lines.h).
inline void put_word(std::byte* line, std::size_t r, std::uint32_t word) {
  std::memcpy(line + 4 * r, &word, sizeof(word));
}
inline void pack_nibbles(const CodeWords& words, std::size_t r, std::byte* lines) {
  for (std::size_t j = 0; j < 4; ++j) {
    put_word(lines + j * kLineBytes, r,
             (words[j] & 0x0F0F0F0FU) | ((words[j + 4] & 0x0F0F0F0FU) << 4));
  }
}
// Bits bit and bit + 1 of every code.
inline void pack_pairs(const CodeWords& words, unsigned bit, std::size_t r, std::byte* lines) {
  for (std::size_t i = 0; i < 2; ++i) {
    std::uint32_t line = 0;
    for (unsigned u = 0; u < 4; ++u) {
      line |= ((words[4 * i + u] >> bit) & 0x03030303U) << (2 * u);
    }
    put_word(lines + i * kLineBytes, r, line);
  }
}
// One bit of every code.
inline void pack_single(const CodeWords& words, unsigned bit, std::size_t r, std::byte* line) {
  std::uint32_t word = 0;
  for (unsigned j = 0; j < 8; ++j) word |= ((words[j] >> bit) & 0x01010101U) << j;
  put_word(line, r, word);
}
// The same from 32 bits, bit i of column i.
inline void pack_fifth_bits(std::uint32_t bits, std::size_t r, std::byte* line) {
  CodeWords words{};
  for (std::size_t i = 0; i < kBlock; ++i) {
    words[i / 4] |= ((bits >> i) & 1U) << (8 * (i % 4));
  }
  pack_single(words, 0, r, line);
}
// Copies 16 words that stand at `offset` of every block side by side.
template <class Integer>
void pack_side_by_side(const FileBlocks& blocks, std::size_t offset, std::byte* packed) {
  for (std::size_t r = 0; r < kGroupRows; ++r) {
    std::memcpy(packed + r * sizeof(Integer), blocks[r] + offset, sizeof(Integer));
  }
}

// `count` bytes from `offset` of every block as planes of 16.
inline void pack_planes(const FileBlocks& blocks, std::size_t offset, std::size_t count,
                        std::byte* planes) {
  for (std::size_t i = 0; i < count; ++i) {
    pack_side_by_side<std::byte>(blocks, offset + i, planes + i * kGroupRows);
  }
}

// The 6-bit scale and minimum of part 0..7 of a Q4_K or Q5_K block, from its 12 packed bytes.
struct KScale {
  unsigned scale, minimum;
};
inline KScale k_scale(const std::byte* bytes, std::size_t part) {
  if (part < 4) return {byte_at(bytes, part) & 63U, byte_at(bytes, part + 4) & 63U};
  const unsigned low = byte_at(bytes, part + 4);
  return {(low & 15U) | (byte_at(bytes, part - 4) >> 6 << 4),
          (low >> 4) | (byte_at(bytes, part) >> 6 << 4)};
}

template <class Format>
void read_block(const std::byte* file_row, std::size_t block, BlockValues& values) {
  constexpr std::size_t kParts = Format::kValues / kBlock;
  Format::read(file_row + block / kParts * Format::kBytes, block % kParts, values);
}

template <class Format>
void decode_blocks(const std::byte* file_row, std::size_t columns, float* output) {
  for (std::size_t b = 0; b < columns / kBlock; ++b) {
    BlockValues values;
    read_block<Format>(file_row, b, values);
    reference::decode(values, output + b * kBlock);
  }
}

template <class Format>
void pack_blocks(const std::array<const std::byte*, kGroupRows>& file_rows, std::size_t columns,
                 std::byte* group) {
  static constexpr std::byte kZeros[Format::kBytes]{};
  for (std::size_t b = 0; b < columns / Format::kValues; ++b) {
    FileBlocks blocks;
    for (std::size_t r = 0; r < kGroupRows; ++r) {
      blocks[r] = file_rows[r] == nullptr ? kZeros : file_rows[r] + b * Format::kBytes;
    }
    Format::pack(blocks, group + b * kGroupRows * Format::kBytes);
  }
}

// The writer of a format: Format::write(const float* values, std::byte* block) of kValues values.
template <class Format>
void encode_blocks(const float* row, std::size_t columns, const float*, std::byte* file_row) {
  for (std::size_t b = 0; b < columns / Format::kValues; ++b) {
    Format::write(row + b * Format::kValues, file_row + b * Format::kBytes);
  }
}

}  // namespace malina::math
