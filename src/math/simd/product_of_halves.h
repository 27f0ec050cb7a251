// One row of activations with weights in 16 bits: adapters beside each other, each for the one row
// of its sequence. Kernel header: see foreach_isa.h.
//
// A weight is used once, so it is widened on the way into the multiplier, and not by way of memory
// as for many rows (product_of_floats.h). The order of accumulation is the same, and so are the
// bits.
#ifndef MALINA_ISA
#error "include math/simd/foreach_isa.h first"
#endif
#if defined(MALINA_SIMD_PRODUCT_OF_HALVES_H) == defined(MALINA_ISA_TOGGLE)
#ifdef MALINA_SIMD_PRODUCT_OF_HALVES_H
#undef MALINA_SIMD_PRODUCT_OF_HALVES_H
#else
#define MALINA_SIMD_PRODUCT_OF_HALVES_H
#endif

#include "math/simd/product_of_floats.h"

MALINA_ISA_HEADER_BEGIN

template <F16x (*kWiden)(const std::uint16_t*), std::size_t kGroups>
void half_row(const PackedMatrix& matrix, const float* x, std::size_t group,
              const ProductOutput& output) {
  const std::size_t size = matrix.columns * kGroupRows;
  const auto* weights = reinterpret_cast<const std::uint16_t*>(matrix.data) + group * size;
  F16x sums[kGroups];
#pragma GCC unroll 4
  for (std::size_t g = 0; g < kGroups; ++g) sums[g] = zero();
  for (std::size_t k = 0; k < matrix.columns; ++k) {
    const F16x factor = broadcast(x[k]);
#pragma GCC unroll 4
    for (std::size_t g = 0; g < kGroups; ++g)
      sums[g] = fma(kWiden(weights + g * size + k * kGroupRows), factor, sums[g]);
  }
#pragma GCC unroll 4
  for (std::size_t g = 0; g < kGroups; ++g) store_product(sums[g], matrix, output, 0, group + g);
}

template <F16x (*kWiden)(const std::uint16_t*)>
void half_product(const PackedMatrix& matrix, const FloatRows& x, std::size_t first_group,
                  std::size_t last_group, const ProductOutput& output) {
  if (x.rows != 1)
    return exact_product<HalfDecoder<kWiden>>(matrix, x, first_group, last_group, output);
  std::size_t g = first_group;
  for (; g + 4 <= last_group; g += 4) half_row<kWiden, 4>(matrix, x.values, g, output);
  for (; g < last_group; ++g) half_row<kWiden, 1>(matrix, x.values, g, output);
}

template <F16x (*kWiden)(const std::uint16_t*)>
inline constexpr Products kHalfProducts{
    .quantized = nullptr,
    .exact = half_product<kWiden>,
    .transposed = transposed_product<HalfDecoder<kWiden>>,
    .decode_row = decode_packed_row<HalfDecoder<kWiden>>,
};

MALINA_ISA_HEADER_END

#endif  // toggle
