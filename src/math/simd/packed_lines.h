// The pieces that the packed layouts of block encodings are made of: for each 32 columns of 16 rows
//   nibbles   4 lines of 64 bytes; line j holds for row r at bytes 4r..4r+3 the columns 4j..4j+3 in
//             the low halves and 16+4j..16+4j+3 in the high ones
//   pairs     2 lines of 64 bytes; line i holds for row r at byte t the columns 16i+t, 16i+4+t,
//             16i+8+t and 16i+12+t, 2 bits each from the lowest
//   single    1 line of 64 bytes; for row r byte t holds at bit j the bit of column 4j+t
//   bytes     8 lines of 64 bytes; line j holds for row r the columns 4j..4j+3
// so that line j of the block, columns 4j..4j+3 of every row, comes out in a few instructions.
// Kernel header: see foreach_isa.h.
#ifndef MALINA_ISA
#error "include math/simd/foreach_isa.h first"
#endif
#if defined(MALINA_SIMD_PACKED_LINES_H) == defined(MALINA_ISA_TOGGLE)
#ifdef MALINA_SIMD_PACKED_LINES_H
#undef MALINA_SIMD_PACKED_LINES_H
#else
#define MALINA_SIMD_PACKED_LINES_H
#endif

#include "math/simd/bytes.h"
#include "math/simd/code_tables.h"

MALINA_ISA_HEADER_BEGIN

template <int J>
MALINA_INLINE Bytes nibbles(const std::byte* lines) {
  const Bytes line = load_bytes(lines + (J % 4) * kLineBytes);
  return (J < 4 ? line : shift_right<4>(line)) & broadcast_byte(0x0F);
}

// Shifts by any amount within the bytes that `mask` then leaves.
template <int kLeft>
MALINA_INLINE Bytes shifted(Bytes line, int mask) {
  if constexpr (kLeft > 0) return shift_left<kLeft>(line) & broadcast_byte(mask);
  if constexpr (kLeft < 0) return shift_right<-kLeft>(line) & broadcast_byte(mask);
  return line & broadcast_byte(mask);
}

// The pair of columns 4J..4J+3, at bit kBit.
template <int J, int kBit>
MALINA_INLINE Bytes pairs_at(const std::byte* lines) {
  return shifted<kBit - 2 * (J % 4)>(load_bytes(lines + (J / 4) * kLineBytes), 3 << kBit);
}

// The single bit of columns 4J..4J+3, at bit kBit.
template <int J, int kBit>
MALINA_INLINE Bytes single_at(const std::byte* line) {
  return shifted<kBit - J>(load_bytes(line), 1 << kBit);
}

MALINA_INLINE F16x load_half_scales(const std::byte* source) {
  return load_float16(reinterpret_cast<const std::uint16_t*>(source));
}

// Plane `index` of 16 bytes, one for each row.
MALINA_INLINE I16x byte_plane(const std::byte* planes, std::size_t index) {
  return load_uint8(planes + index * 16);
}

// The 6-bit scale and minimum of part 0..7 of a K block, from the 12 planes of its packed bytes.
// Those of parts 0..3 are whole in bytes 0..3 and 4..7; those of parts 4..7 have their low halves
// in bytes 8..11 and their upper two bits above the former.
MALINA_INLINE I16x k_scale(const std::byte* planes, std::size_t part) {
  if (part < 4) return byte_plane(planes, part) & broadcast_int(63);
  return (byte_plane(planes, part + 4) & broadcast_int(15)) |
         shift_left<4>(shift_right<6>(byte_plane(planes, part - 4)));
}
MALINA_INLINE I16x k_minimum(const std::byte* planes, std::size_t part) {
  if (part < 4) return byte_plane(planes, part + 4) & broadcast_int(63);
  return shift_right<4>(byte_plane(planes, part + 4)) |
         shift_left<4>(shift_right<6>(byte_plane(planes, part)));
}

MALINA_ISA_HEADER_END

#endif  // toggle
