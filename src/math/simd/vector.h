// Vectors of 16 lanes for kernels, in the namespace of each instruction set (see foreach_isa.h).
// Every operation gives the same bits on each of them: multiply-adds are fused, reductions are one
// fixed tree, minimum and maximum are comparisons with a stated order.
//
//   F16x: 16 float. I16x: 16 int32. Mask: 16 booleans.
//   a + b, a - b, a * b, a / b on F16x; +, -, * on I16x.
//
//   F16x zero(), broadcast(float), load(const float*), load(const float*, count)
//   void store(F16x, float*), store(F16x, float*, count)         count: 0..16, other lanes: zero
//   F16x load_float16(const std::uint16_t*), load_bfloat16(const std::uint16_t*)
//   void store_float16(F16x, std::uint16_t*)                      nearest even
//   I16x broadcast_int(int32), load_int(const int32*), load_int8(const std::int8_t*)
//   void store_int(I16x, int32*), store_int8(I16x, int8*)         the latter: lanes in -128..127
//   F16x to_float(I16x); I16x round_to_int(F16x)                  nearest even, |x| < 2^31
//   F16x fma(a, b, c) = a*b + c; fnma(a, b, c) = c - a*b; sqrt(a); abs(a)
//   F16x min(a, b) = a < b ? a : b; max(a, b) = a > b ? a : b     with a NaN: b
//   Mask less(a, b), greater(a, b), first_lanes(count)
//   F16x select(mask, if_true, if_false)
//   float reduce_add(F16x), reduce_max(F16x); int32 reduce_add(I16x)
//       lane i with lane i + 8, then + 4, + 2, + 1
//   F16x exp(x): under 2 ulp for x in [-87.33, 88.37]; 0 below (also for -infinity), the value at
//       88.37 above; a NaN stays one.
// Pointers need no alignment.
#ifndef MALINA_ISA
#error "include math/simd/foreach_isa.h first"
#endif
#if defined(MALINA_SIMD_VECTOR_H) == defined(MALINA_ISA_TOGGLE)
#ifdef MALINA_SIMD_VECTOR_H
#undef MALINA_SIMD_VECTOR_H
#else
#define MALINA_SIMD_VECTOR_H
#endif

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/float16.h"

#if MALINA_ISA_AVX2 || MALINA_ISA_AVXVNNI
#include "math/simd/vector_avx2.inc"
#elif MALINA_ISA_AVX512
#include "math/simd/vector_avx512.inc"
#elif MALINA_ISA_NEON
#include "math/simd/vector_neon.inc"
#else
#include "math/simd/vector_baseline.inc"
#endif

MALINA_ISA_HEADER_BEGIN

MALINA_INLINE F16x exp(F16x x) {
  // exp(x) = 2^n * exp(r), n the nearest integer to x / ln 2, |r| <= ln 2 / 2. ln 2 in two parts
  // (Cody and Waite), the first short enough for an exact product with n.
  const F16x clamped = min(broadcast(88.37F), x);  // this order lets a NaN pass
  const I16x n = round_to_int(clamped * broadcast(1.44269504F));
  const F16x whole = to_float(n);
  F16x r = fnma(whole, broadcast(0.693359375F), clamped);
  r = fnma(whole, broadcast(-2.12194440e-4F), r);
  // Minimax polynomial of (exp(r) - 1 - r) / r^2, from Cephes expf.
  F16x p = broadcast(1.9875691500e-4F);
  p = fma(p, r, broadcast(1.3981999507e-3F));
  p = fma(p, r, broadcast(8.3334519073e-3F));
  p = fma(p, r, broadcast(4.1665795894e-2F));
  p = fma(p, r, broadcast(1.6666665459e-1F));
  p = fma(p, r, broadcast(5.0000001201e-1F));
  p = fma(p, r * r, r) + broadcast(1.0F);
  return select(less(x, broadcast(-87.33F)), zero(), p * power_of_two(n));
}

MALINA_ISA_HEADER_END

#endif  // toggle
