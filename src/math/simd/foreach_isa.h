// Compiles one source file once for every instruction set of the target architecture, each time in
// a namespace of its own, without compiler flags: the standard library's inline functions must
// never be compiled for a newer processor than the oldest one supported.
//
// A kernel file begins so:
//
//   #define MALINA_KERNELS "math/ops/softmax.cpp"  // the file itself, as #include finds it
//   #include "math/simd/foreach_isa.h"             // after this, other headers in any order
//   #include "math/simd/vector.h"
//
//   MALINA_ISA_BEGIN          // target pragma, namespace malina::math::<isa> and an unnamed one
//   void softmax_rows(...) {...}
//   MALINA_ISA_END
//
//   #if MALINA_ONCE           // all that is not a kernel
//   namespace malina::math {
//   constexpr auto kSoftmaxRows = MALINA_ISA_TABLE(softmax_rows);
//   ... kSoftmaxRows[static_cast<std::size_t>(isa)](...)
//   }
//   #endif
//
// Between BEGIN and END no lambda (GCC does not give it the target) and no #include. A header of
// kernel templates stands between MALINA_ISA_HEADER_BEGIN and MALINA_ISA_HEADER_END, and guards
// itself with MALINA_ISA_TOGGLE as vector.h does. Within a pass MALINA_ISA is the name of the
// namespace, and one of MALINA_ISA_BASELINE, _AVX2, _AVXVNNI, _AVX512, _NEON is 1.
#ifndef MALINA_KERNELS
#error "define MALINA_KERNELS as the name of this file before including foreach_isa.h"
#endif

#ifndef MALINA_FOREACH_ISA_ENTERED
#define MALINA_FOREACH_ISA_ENTERED

#include <array>
#include <cstddef>

#include "math/isa.h"
#include "math/simd/isa_target.h"

#define MALINA_ONCE 0

#if MALINA_HAS_AVX2
#define MALINA_ISA avx2
#define MALINA_ISA_AVX2 1
#define MALINA_ISA_PUSH MALINA_PUSH_TARGET(MALINA_TARGET_AVX2)
#define MALINA_ISA_POP MALINA_POP_TARGET
#include MALINA_KERNELS
#undef MALINA_ISA
#undef MALINA_ISA_AVX2
#undef MALINA_ISA_PUSH
#undef MALINA_ISA_POP
#define MALINA_ISA_TOGGLE

#define MALINA_ISA avxvnni
#define MALINA_ISA_AVXVNNI 1
#define MALINA_ISA_PUSH MALINA_PUSH_TARGET(MALINA_TARGET_AVXVNNI)
#define MALINA_ISA_POP MALINA_POP_TARGET
#include MALINA_KERNELS
#undef MALINA_ISA
#undef MALINA_ISA_AVXVNNI
#undef MALINA_ISA_PUSH
#undef MALINA_ISA_POP
#undef MALINA_ISA_TOGGLE
#endif

#if MALINA_HAS_AVX512
#define MALINA_ISA avx512
#define MALINA_ISA_AVX512 1
#define MALINA_ISA_PUSH MALINA_PUSH_TARGET(MALINA_TARGET_AVX512)
#define MALINA_ISA_POP MALINA_POP_TARGET
#include MALINA_KERNELS
#undef MALINA_ISA
#undef MALINA_ISA_AVX512
#undef MALINA_ISA_PUSH
#undef MALINA_ISA_POP
#define MALINA_ISA_TOGGLE
#endif

#if MALINA_HAS_NEON
#define MALINA_ISA neon
#define MALINA_ISA_NEON 1
#define MALINA_ISA_PUSH MALINA_PUSH_TARGET(MALINA_TARGET_NEON)
#define MALINA_ISA_POP MALINA_POP_TARGET
#include MALINA_KERNELS
#undef MALINA_ISA
#undef MALINA_ISA_NEON
#undef MALINA_ISA_PUSH
#undef MALINA_ISA_POP
#define MALINA_ISA_TOGGLE
#endif

// The file's own text, which follows, is the last pass.
#define MALINA_ISA baseline
#define MALINA_ISA_BASELINE 1
// Its loops over lanes take GCC most of a file's compile time at -O3, and gain nothing from it.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__OPTIMIZE__)
#define MALINA_ISA_PUSH _Pragma("GCC push_options") _Pragma("GCC optimize(\"O2\")")
#define MALINA_ISA_POP _Pragma("GCC pop_options")
#else
#define MALINA_ISA_PUSH
#define MALINA_ISA_POP
#endif
#undef MALINA_ONCE
#define MALINA_ONCE 1

#endif  // MALINA_FOREACH_ISA_ENTERED
