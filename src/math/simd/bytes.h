// Weights of 16 rows and 4 columns as 64 bytes, and their exact integer products with activations.
// Kernel header: see foreach_isa.h.
//
//   Bytes: byte 4r + t belongs to row r, column t.
//   Bytes load_bytes(const std::byte*); void store_bytes(Bytes, std::byte*)
//   a & b, a | b, a ^ b; Bytes broadcast_byte(int)
//   shift_left<N>(Bytes), shift_right<N>(Bytes): of 16-bit units, so mask after
//   Bytes lookup(const Table&, a): the table's byte by each index 0..15
//   I16x column<T>(Bytes), signed_column<T>(Bytes): column T of the 16 rows
//   I16x a & b, a | b, shift_left<N>(a), shift_right<N>(a), shift_right(a, n) (arithmetic)
//   I16x load_uint8(const std::byte*), load_uint16(const std::byte*)
//   I16x pairs(low, high): two 16-bit numbers a lane
//   I16x pair_dot(pairs, int32 pair): the sum of both products
//   Quad broadcast_quad(const std::int8_t*): 4 activations for every row
//
// Accumulator<shape> sums one block of 32 columns: add<J>(weights, quad, sub_scales) for J = 0..7
// in order, then finish(). The weights come from dot_operand<shape>(codes). The sum is that of code
// * activation: it still includes kernel_offset<shape>() * (sum of the activations).
#ifndef MALINA_ISA
#error "include math/simd/foreach_isa.h first"
#endif
#if defined(MALINA_SIMD_BYTES_H) == defined(MALINA_ISA_TOGGLE)
#ifdef MALINA_SIMD_BYTES_H
#undef MALINA_SIMD_BYTES_H
#else
#define MALINA_SIMD_BYTES_H
#endif

#include "math/simd/product_shape.h"
#include "math/simd/vector.h"

#if MALINA_ISA_AVX2
#include "math/simd/bytes_avx2.inc"
#include "math/simd/dot_avx2.inc"
#elif MALINA_ISA_AVXVNNI
#include "math/simd/bytes_avx2.inc"
#include "math/simd/dot_vnni.inc"
#elif MALINA_ISA_AVX512
#include "math/simd/bytes_avx512.inc"
#include "math/simd/dot_vnni.inc"
#elif MALINA_ISA_NEON
#include "math/simd/bytes_neon.inc"
#else
#include "math/simd/bytes_baseline.inc"
#endif

#endif  // toggle
