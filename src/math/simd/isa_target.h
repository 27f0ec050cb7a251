// The instruction sets that this compiler builds kernels for, and how it is told to. Included by
// foreach_isa.h only.
#pragma once

// A build for tests replaces AVX-512 intrinsics by plain code (SIMDe), so that the logic of those
// kernels is checked on machines that lack the instructions. It holds baseline and avx512 only.
#ifdef MALINA_EMULATE_AVX512
#define MALINA_HAS_AVX2 0
#define MALINA_HAS_AVX512 1
#define MALINA_HAS_NEON 0
#include "math/simd/emulated_avx512.h"
#elif defined(__x86_64__)
#define MALINA_HAS_AVX2 1
#define MALINA_HAS_AVX512 1
#define MALINA_HAS_NEON 0
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 writes its undefined vectors as `x = x` and warns of them itself.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#elif defined(__aarch64__)
#define MALINA_HAS_AVX2 0
#define MALINA_HAS_AVX512 0
#define MALINA_HAS_NEON 1
#include <arm_neon.h>
#else
#define MALINA_HAS_AVX2 0
#define MALINA_HAS_AVX512 0
#define MALINA_HAS_NEON 0
#endif

#define MALINA_TARGET_AVX2 "avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt"
#define MALINA_TARGET_AVXVNNI "avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt,avxvnni"
#define MALINA_TARGET_AVX512 \
  "avx2,fma,f16c,bmi,bmi2,popcnt,lzcnt,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"
#if defined(__clang__)
#define MALINA_TARGET_NEON "dotprod"
#else
#define MALINA_TARGET_NEON "arch=armv8.2-a+dotprod"
#endif

#define MALINA_INLINE inline __attribute__((always_inline))

#define MALINA_PRAGMA_TEXT(...) _Pragma(#__VA_ARGS__)
#define MALINA_PRAGMA(...) MALINA_PRAGMA_TEXT(__VA_ARGS__)
#if defined(MALINA_EMULATE_AVX512)
#define MALINA_PUSH_TARGET(...)
#define MALINA_POP_TARGET
#elif defined(__clang__)
#define MALINA_PUSH_TARGET(...) \
  MALINA_PRAGMA(clang attribute push(__attribute__((target(__VA_ARGS__))), apply_to = function))
#define MALINA_POP_TARGET _Pragma("clang attribute pop")
#else
#define MALINA_PUSH_TARGET(...) _Pragma("GCC push_options") MALINA_PRAGMA(GCC target(__VA_ARGS__))
#define MALINA_POP_TARGET _Pragma("GCC pop_options")
#endif

// MALINA_ISA_PUSH, MALINA_ISA_POP and MALINA_ISA are those of the pass.
#define MALINA_ISA_HEADER_BEGIN \
  MALINA_ISA_PUSH               \
  namespace malina::math {      \
  namespace MALINA_ISA {
#define MALINA_ISA_HEADER_END \
  }                           \
  }                           \
  MALINA_ISA_POP
// Kernels of one file are its own: two files may use the same names.
#define MALINA_ISA_BEGIN MALINA_ISA_HEADER_BEGIN namespace {
#define MALINA_ISA_END \
  }                    \
  MALINA_ISA_HEADER_END

#if MALINA_HAS_AVX2
#define MALINA_ENTRY_AVX2(object) &::malina::math::avx2::object
#define MALINA_ENTRY_AVXVNNI(object) &::malina::math::avxvnni::object
#else
#define MALINA_ENTRY_AVX2(object) nullptr
#define MALINA_ENTRY_AVXVNNI(object) nullptr
#endif
#if MALINA_HAS_AVX512
#define MALINA_ENTRY_AVX512(object) &::malina::math::avx512::object
#else
#define MALINA_ENTRY_AVX512(object) nullptr
#endif
#if MALINA_HAS_NEON
#define MALINA_ENTRY_NEON(object) &::malina::math::neon::object
#else
#define MALINA_ENTRY_NEON(object) nullptr
#endif
// std::array of pointers by Isa to the function or constant `object` that every pass defined; null
// where there was no pass.
#define MALINA_ISA_TABLE(object)                                                                \
  std::array<decltype(&::malina::math::baseline::object), ::malina::math::kIsaCount> {          \
    &::malina::math::baseline::object, MALINA_ENTRY_AVX2(object), MALINA_ENTRY_AVXVNNI(object), \
        MALINA_ENTRY_AVX512(object), MALINA_ENTRY_NEON(object)                                  \
  }
