// The AVX-512 instructions that kernels use, in plain code: SIMDe's, and for those that the version
// of Debian 12 lacks (or, with fused multiply-adds, rounds twice) both halves by AVX2. Only for the
// test program that is built with MALINA_EMULATE_AVX512, and with AVX2, FMA and F16C enabled.
#pragma once

#include <immintrin.h>
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <simde/x86/avx512.h>
#pragma GCC diagnostic pop

#include <cstdint>
#include <cstring>

#define __m512 simde__m512
#define __m512i simde__m512i
#define __mmask16 simde__mmask16

namespace malina::math::emulated {

inline __m256 half(__m512 a, int index) { return simde__m512_to_private(a).m256[index]; }
inline __m256i half(__m512i a, int index) { return simde__m512i_to_private(a).m256i[index]; }
inline __m512 join(__m256 low, __m256 high) {
  simde__m512_private both;
  both.m256[0] = low;
  both.m256[1] = high;
  return simde__m512_from_private(both);
}
inline __m512i join(__m256i low, __m256i high) {
  simde__m512i_private both;
  both.m256i[0] = low;
  both.m256i[1] = high;
  return simde__m512i_from_private(both);
}

inline __m512 fmadd(__m512 a, __m512 b, __m512 c) {
  return join(_mm256_fmadd_ps(half(a, 0), half(b, 0), half(c, 0)),
              _mm256_fmadd_ps(half(a, 1), half(b, 1), half(c, 1)));
}
inline __m512 fnmadd(__m512 a, __m512 b, __m512 c) {
  return join(_mm256_fnmadd_ps(half(a, 0), half(b, 0), half(c, 0)),
              _mm256_fnmadd_ps(half(a, 1), half(b, 1), half(c, 1)));
}
// SIMDe 0.7.4 leaves the sign of -0.
inline __m512 abs(__m512 a) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  return join(_mm256_andnot_ps(sign, half(a, 0)), _mm256_andnot_ps(sign, half(a, 1)));
}
inline __m512 cvtph(__m256i a) {
  return join(_mm256_cvtph_ps(_mm256_castsi256_si128(a)),
              _mm256_cvtph_ps(_mm256_extracti128_si256(a, 1)));
}
inline __m256i cvtps_ph(__m512 a) {
  return _mm256_set_m128i(_mm256_cvtps_ph(half(a, 1), _MM_FROUND_TO_NEAREST_INT),
                          _mm256_cvtps_ph(half(a, 0), _MM_FROUND_TO_NEAREST_INT));
}
inline __m512 maskz_loadu(__mmask16 mask, const float* source) {
  float lanes[16] = {};
  for (int i = 0; i < 16; ++i) {
    if ((mask >> i & 1) != 0) lanes[i] = source[i];
  }
  return join(_mm256_loadu_ps(lanes), _mm256_loadu_ps(lanes + 8));
}
inline void mask_storeu(float* target, __mmask16 mask, __m512 value) {
  float lanes[16];
  std::memcpy(lanes, &value, sizeof(lanes));
  for (int i = 0; i < 16; ++i) {
    if ((mask >> i & 1) != 0) target[i] = lanes[i];
  }
}
inline __m512i cvtepu8(__m128i a) {
  return join(_mm256_cvtepu8_epi32(a), _mm256_cvtepu8_epi32(_mm_srli_si128(a, 8)));
}
inline __m512i cvtepi8(__m128i a) {
  return join(_mm256_cvtepi8_epi32(a), _mm256_cvtepi8_epi32(_mm_srli_si128(a, 8)));
}
inline __m512i cvtepu16(__m256i a) {
  return join(_mm256_cvtepu16_epi32(_mm256_castsi256_si128(a)),
              _mm256_cvtepu16_epi32(_mm256_extracti128_si256(a, 1)));
}
inline __m512 cvtepi32_ps(__m512i a) {
  return join(_mm256_cvtepi32_ps(half(a, 0)), _mm256_cvtepi32_ps(half(a, 1)));
}
inline __m512i cvtps_epi32(__m512 a) {
  return join(_mm256_cvtps_epi32(half(a, 0)), _mm256_cvtps_epi32(half(a, 1)));
}
inline __m512i srai(__m512i a, int n) {
  return join(_mm256_srai_epi32(half(a, 0), n), _mm256_srai_epi32(half(a, 1), n));
}
inline __m512i sra(__m512i a, __m128i n) {
  return join(_mm256_sra_epi32(half(a, 0), n), _mm256_sra_epi32(half(a, 1), n));
}

}  // namespace malina::math::emulated

#define _mm512_abs_ps malina::math::emulated::abs
#define _mm512_fmadd_ps malina::math::emulated::fmadd
#define _mm512_fnmadd_ps malina::math::emulated::fnmadd
#define _mm512_cvtph_ps malina::math::emulated::cvtph
#define _mm512_cvtps_ph(a, rounding) malina::math::emulated::cvtps_ph(a)
#define _mm512_maskz_loadu_ps malina::math::emulated::maskz_loadu
#define _mm512_mask_storeu_ps malina::math::emulated::mask_storeu
#define _mm512_cvtepu8_epi32 malina::math::emulated::cvtepu8
#define _mm512_cvtepi8_epi32 malina::math::emulated::cvtepi8
#define _mm512_cvtepu16_epi32 malina::math::emulated::cvtepu16
#define _mm512_cvtepi32_ps malina::math::emulated::cvtepi32_ps
#define _mm512_cvtps_epi32 malina::math::emulated::cvtps_epi32
#define _mm512_srai_epi32 malina::math::emulated::srai
#define _mm512_sra_epi32 malina::math::emulated::sra
#define _mm512_extractf32x8_ps malina::math::emulated::half

#define _mm512_add_epi32 simde_mm512_add_epi32
#define _mm512_add_ps simde_mm512_add_ps
#define _mm512_and_si512 simde_mm512_and_si512
#define _mm512_broadcast_i32x4 simde_mm512_broadcast_i32x4
#define _mm512_castps512_ps256 simde_mm512_castps512_ps256
#define _mm512_castsi512_ps simde_mm512_castsi512_ps
#define _mm512_castsi512_si256 simde_mm512_castsi512_si256
#define _mm512_cmp_ps_mask simde_mm512_cmp_ps_mask
#define _mm512_cvtsepi32_epi8 simde_mm512_cvtsepi32_epi8
#define _mm512_div_ps simde_mm512_div_ps
#define _mm512_dpbusd_epi32 simde_mm512_dpbusd_epi32
#define _mm512_extracti64x4_epi64 simde_mm512_extracti64x4_epi64
#define _mm512_loadu_ps simde_mm512_loadu_ps
#define _mm512_loadu_si512 simde_mm512_loadu_si512
#define _mm512_madd_epi16 simde_mm512_madd_epi16
#define _mm512_mask_blend_epi16 simde_mm512_mask_blend_epi16
#define _mm512_mask_blend_ps simde_mm512_mask_blend_ps
#define _mm512_max_ps simde_mm512_max_ps
#define _mm512_min_ps simde_mm512_min_ps
#define _mm512_mul_ps simde_mm512_mul_ps
#define _mm512_mullo_epi32 simde_mm512_mullo_epi32
#define _mm512_or_si512 simde_mm512_or_si512
#define _mm512_set1_epi32 simde_mm512_set1_epi32
#define _mm512_set1_epi8 simde_mm512_set1_epi8
#define _mm512_set1_ps simde_mm512_set1_ps
#define _mm512_setzero_ps simde_mm512_setzero_ps
#define _mm512_setzero_si512 simde_mm512_setzero_si512
#define _mm512_shuffle_epi8 simde_mm512_shuffle_epi8
#define _mm512_slli_epi16 simde_mm512_slli_epi16
#define _mm512_slli_epi32 simde_mm512_slli_epi32
#define _mm512_sqrt_ps simde_mm512_sqrt_ps
#define _mm512_srli_epi16 simde_mm512_srli_epi16
#define _mm512_srli_epi32 simde_mm512_srli_epi32
#define _mm512_storeu_ps simde_mm512_storeu_ps
#define _mm512_storeu_si512 simde_mm512_storeu_si512
#define _mm512_sub_epi32 simde_mm512_sub_epi32
#define _mm512_sub_ps simde_mm512_sub_ps
#define _mm512_xor_si512 simde_mm512_xor_si512
