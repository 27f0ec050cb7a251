#define MALINA_KERNELS "math/ops/attention_kernels.cpp"
#include "math/simd/foreach_isa.h"
//
#include <algorithm>
#include <limits>

#include "base/float16.h"
#include "math/ops/attention_kernels.h"
#include "math/simd/vector.h"

MALINA_ISA_BEGIN

constexpr float kNothing = -std::numeric_limits<float>::infinity();

// How each type of key and value is read: 16 positions of one key element, or 16 elements of one
// position's value.
struct ReadFloat32 {
  const float* keys;
  const float* values;
  std::size_t width;
  MALINA_INLINE ReadFloat32(const std::byte* head, const KvLayout& layout)
      : keys(reinterpret_cast<const float*>(head)),
        values(reinterpret_cast<const float*>(head + layout.head_bytes())),
        width(padded_width(layout.head_width)) {}
  MALINA_INLINE F16x key(std::size_t element, std::size_t half) const {
    return load(keys + element * kPagePositions + 16 * half);
  }
  MALINA_INLINE F16x value(std::size_t slot, std::size_t element) const {
    return load(values + slot * width + element);
  }
};

struct ReadFloat16 {
  const std::uint16_t* keys;
  const std::uint16_t* values;
  std::size_t width;
  MALINA_INLINE ReadFloat16(const std::byte* head, const KvLayout& layout)
      : keys(reinterpret_cast<const std::uint16_t*>(head)),
        values(reinterpret_cast<const std::uint16_t*>(head + layout.head_bytes())),
        width(padded_width(layout.head_width)) {}
  MALINA_INLINE F16x key(std::size_t element, std::size_t half) const {
    return load_float16(keys + element * kPagePositions + 16 * half);
  }
  MALINA_INLINE F16x value(std::size_t slot, std::size_t element) const {
    return load_float16(values + slot * width + element);
  }
};

struct ReadQ8 {
  const std::int8_t* keys;
  const std::int8_t* values;
  const std::uint16_t* key_scales;
  const std::uint16_t* value_scales;
  std::size_t width;
  MALINA_INLINE ReadQ8(const std::byte* head, const KvLayout& layout)
      : keys(reinterpret_cast<const std::int8_t*>(head)),
        values(reinterpret_cast<const std::int8_t*>(head + layout.head_bytes())),
        key_scales(
            reinterpret_cast<const std::uint16_t*>(keys + layout.head_width * kPagePositions)),
        value_scales(
            reinterpret_cast<const std::uint16_t*>(values + layout.head_width * kPagePositions)),
        width(layout.head_width) {}
  MALINA_INLINE F16x key(std::size_t element, std::size_t half) const {
    const F16x scale = load_float16(key_scales + element / kBlock * kPagePositions + 16 * half);
    return to_float(load_int8(keys + element * kPagePositions + 16 * half)) * scale;
  }
  MALINA_INLINE F16x value(std::size_t slot, std::size_t element) const {
    const float scale =
        base::float16_to_float(value_scales[slot * (width / kBlock) + element / kBlock]);
    return to_float(load_int8(values + slot * width + element)) * broadcast(scale);
  }
};

// Lanes of a block of 32 positions that a query sees: [first, last).
struct Visible {
  std::size_t first, last;
};

MALINA_INLINE Visible visible(std::uint32_t block, std::uint32_t position, std::uint32_t window) {
  const std::size_t start = std::size_t{block} * kPagePositions;
  const std::size_t end = std::size_t{position} + 1;
  const std::size_t begin = window != 0 && end > window ? end - window : 0;
  return {begin > start ? begin - start : 0,
          end > start ? std::min(end - start, kPagePositions) : 0};
}

MALINA_INLINE F16x mask(F16x scores, Visible seen, std::size_t half) {
  const std::size_t start = 16 * half;
  const std::size_t last = std::min<std::size_t>(seen.last > start ? seen.last - start : 0, 16);
  const std::size_t first = std::min<std::size_t>(seen.first > start ? seen.first - start : 0, 16);
  scores = select(first_lanes(last), scores, broadcast(kNothing));
  return select(first_lanes(first), broadcast(kNothing), scores);
}

template <class Read, std::size_t N>
MALINA_INLINE void scores_of(const QueryTile& tile, const Read& read, std::size_t head_width,
                             std::size_t half, F16x (&scores)[N]) {
  for (std::size_t q = 0; q < N; ++q) scores[q] = zero();
  for (std::size_t d = 0; d < head_width; ++d) {
    const F16x key = read.key(d, half);
    for (std::size_t q = 0; q < N; ++q)
      scores[q] = fma(key, broadcast(tile.queries[q][d]), scores[q]);
  }
}

// The running maximum and sum of one query, and the probabilities of one block's positions. Returns
// the factor that scales what was summed before. Not inlined: it is half of a tile's code.
__attribute__((noinline)) float update(float* partial, float* scores, Visible seen, float scale) {
  if (seen.first >= seen.last) {  // leaves the query as it is
    store(zero(), scores);
    store(zero(), scores + 16);
    return 1;
  }
  const F16x a = mask(load(scores) * broadcast(scale), seen, 0);
  const F16x b = mask(load(scores + 16) * broadcast(scale), seen, 1);
  const float greatest = std::max(partial[0], reduce_max(max(a, b)));
  const F16x top = broadcast(greatest);
  const F16x pa = exp(a - top);
  const F16x pb = exp(b - top);
  store(pa, scores);
  store(pb, scores + 16);
  alignas(64) float factor[16];
  store(exp(broadcast(partial[0]) - top), factor);
  partial[1] = partial[1] * factor[0] + reduce_add(pa + pb);
  partial[0] = greatest;
  return factor[0];
}

// One block for all queries of a tile.
template <class Read, std::size_t N>
MALINA_INLINE void attend_block(const QueryTile& tile, const Read& read, const KvLayout& layout,
                                std::uint32_t block, std::uint32_t window, float scale) {
  alignas(64) float probabilities[N][kPagePositions];  // scores first
  for (std::size_t half = 0; half < 2; ++half) {
    F16x scores[N];
    scores_of<Read, N>(tile, read, layout.head_width, half, scores);
    for (std::size_t q = 0; q < N; ++q) store(scores[q], probabilities[q] + 16 * half);
  }
  float factors[N];
  std::size_t last = 0;
  for (std::size_t q = 0; q < N; ++q) {
    const Visible seen = visible(block, tile.positions[q], window);
    last = std::max(last, seen.last);
    factors[q] = update(tile.partials[q], probabilities[q], seen, scale);
  }
  for (std::size_t d = 0; d < padded_width(layout.head_width); d += 16) {
    F16x sums[N];
    for (std::size_t q = 0; q < N; ++q)
      sums[q] = load(tile.partials[q] + kPartialHeader + d) * broadcast(factors[q]);
    for (std::size_t slot = 0; slot < last; ++slot) {
      const F16x value = read.value(slot, d);
      for (std::size_t q = 0; q < N; ++q)
        sums[q] = fma(value, broadcast(probabilities[q][slot]), sums[q]);
    }
    for (std::size_t q = 0; q < N; ++q) store(sums[q], tile.partials[q] + kPartialHeader + d);
  }
}

template <class Read, std::size_t N>
void attend_blocks(const QueryTile& tile, const KeyBlocks& keys, std::uint32_t first,
                   std::uint32_t last, std::uint32_t window, float scale) {
  for (std::size_t q = 0; q < N && !tile.begun; ++q) {
    std::fill_n(tile.partials[q], kPartialHeader + padded_width(keys.layout.head_width), 0.0F);
    tile.partials[q][0] = kNothing;
  }
  for (std::uint32_t block = first; block <= last; ++block) {
    const std::byte* head = keys.pool + keys.pages[block - keys.first_page] * keys.page_bytes;
    attend_block<Read, N>(tile, Read(head, keys.layout), keys.layout, block, window, scale);
  }
}

template <class Read>
void attend_as(const QueryTile& tile, const KeyBlocks& keys, std::uint32_t first,
               std::uint32_t last, std::uint32_t window, float scale) {
  switch (tile.count) {
    case 1:
      return attend_blocks<Read, 1>(tile, keys, first, last, window, scale);
    case 2:
      return attend_blocks<Read, 2>(tile, keys, first, last, window, scale);
    case 3:
      return attend_blocks<Read, 3>(tile, keys, first, last, window, scale);
    case 4:
      return attend_blocks<Read, 4>(tile, keys, first, last, window, scale);
    case 5:
      return attend_blocks<Read, 5>(tile, keys, first, last, window, scale);
    case 6:
      return attend_blocks<Read, 6>(tile, keys, first, last, window, scale);
    default:
      return;
  }
}

void attend(const QueryTile& tile, const KeyBlocks& keys, std::uint32_t first, std::uint32_t last,
            std::uint32_t window, float scale) {
  switch (keys.layout.type) {
    case KvType::f32:
      return attend_as<ReadFloat32>(tile, keys, first, last, window, scale);
    case KvType::f16:
      return attend_as<ReadFloat16>(tile, keys, first, last, window, scale);
    case KvType::q8_0:
      return attend_as<ReadQ8>(tile, keys, first, last, window, scale);
  }
}

void merge(float* into, const float* from, std::size_t width) {
  if (from[0] == kNothing) return;
  if (into[0] == kNothing) {
    std::copy_n(from, kPartialHeader + width, into);
    return;
  }
  const float greatest = std::max(into[0], from[0]);
  const F16x of_into = exp(broadcast(into[0] - greatest));
  const F16x of_from = exp(broadcast(from[0] - greatest));
  alignas(64) float a[16];
  alignas(64) float b[16];
  store(of_into, a);
  store(of_from, b);
  into[0] = greatest;
  into[1] = into[1] * a[0] + from[1] * b[0];
  for (std::size_t d = kPartialHeader; d < kPartialHeader + width; d += 16)
    store(fma(load(from + d), of_from, load(into + d) * of_into), into + d);
}

void finish(const float* partial, std::size_t head_width, float* output) {
  const F16x inverse = broadcast(1.0F / partial[1]);
  std::size_t d = 0;
  for (; d + 16 <= head_width; d += 16)
    store(load(partial + kPartialHeader + d) * inverse, output + d);
  if (d < head_width)
    store(load(partial + kPartialHeader + d) * inverse, output + d, head_width - d);
}

MALINA_INLINE std::uint16_t half_of(float value) {
  // Infinity in one position would make every later product with a masked zero a NaN.
  return base::float_to_float16(std::min(std::max(value, -65504.0F), 65504.0F));
}

MALINA_INLINE std::int8_t eighth_of(float value, float inverse) {
  const float rounded = std::nearbyint(std::min(std::max(value * inverse, -127.0F), 127.0F));
  return static_cast<std::int8_t>(rounded);
}

// 32 values in 8 bits with a half-precision scale; element i goes to values[i * stride].
void store_q8(const float* source, std::int8_t* values, std::size_t stride, std::uint16_t* scale) {
  float greatest = 0;
  for (std::size_t i = 0; i < kBlock; ++i) greatest = std::max(greatest, std::abs(source[i]));
  *scale = half_of(greatest / 127.0F);
  const float stored = base::float16_to_float(*scale);
  const float inverse = stored > 0 ? 1.0F / stored : 0.0F;
  for (std::size_t i = 0; i < kBlock; ++i) values[i * stride] = eighth_of(source[i], inverse);
}

void store_position(const KvLayout& layout, const float* key, const float* value, std::byte* head,
                    std::size_t slot) {
  const std::size_t width = layout.head_width;
  const std::size_t padded = padded_width(width);
  std::byte* second = head + layout.head_bytes();
  if (layout.type == KvType::f32) {
    auto* keys = reinterpret_cast<float*>(head);
    for (std::size_t d = 0; d < width; ++d) keys[d * kPagePositions + slot] = key[d];
    std::copy_n(value, width, reinterpret_cast<float*>(second) + slot * padded);
  } else if (layout.type == KvType::f16) {
    auto* keys = reinterpret_cast<std::uint16_t*>(head);
    auto* values = reinterpret_cast<std::uint16_t*>(second) + slot * padded;
    for (std::size_t d = 0; d < width; ++d) keys[d * kPagePositions + slot] = half_of(key[d]);
    for (std::size_t d = 0; d < width; ++d) values[d] = half_of(value[d]);
  } else {
    auto* keys = reinterpret_cast<std::int8_t*>(head);
    auto* values = reinterpret_cast<std::int8_t*>(second);
    auto* key_scales = reinterpret_cast<std::uint16_t*>(keys + width * kPagePositions);
    auto* value_scales = reinterpret_cast<std::uint16_t*>(values + width * kPagePositions);
    for (std::size_t block = 0; block < width / kBlock; ++block) {
      store_q8(key + block * kBlock, keys + block * kBlock * kPagePositions + slot, kPagePositions,
               key_scales + block * kPagePositions + slot);
      store_q8(value + block * kBlock, values + slot * width + block * kBlock, 1,
               value_scales + slot * (width / kBlock) + block);
    }
  }
}

constexpr AttentionKernels kernels{attend, merge, finish, store_position};

MALINA_ISA_END

#if MALINA_ONCE
namespace malina::math {

const AttentionKernels& attention_kernels(Isa isa) {
  static constexpr auto kTable = MALINA_ISA_TABLE(kernels);
  return *kTable[static_cast<std::size_t>(isa)];
}

}  // namespace malina::math
#endif
