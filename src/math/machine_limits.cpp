#define MALINA_KERNELS "math/machine_limits.cpp"
#include "math/simd/foreach_isa.h"
//
#include <algorithm>
#include <atomic>
#include <chrono>

#include "base/memory_region.h"
#include "math/machine_limits.h"
#include "math/simd/vector.h"

MALINA_ISA_BEGIN

// Sums keep the compiler from leaving the loads out.
float read_block(const float* data, std::size_t count) {
  F16x sums[4] = {zero(), zero(), zero(), zero()};
  for (std::size_t i = 0; i + 64 <= count; i += 64)
    for (std::size_t j = 0; j < 4; ++j) sums[j] = sums[j] + load(data + i + 16 * j);
  return reduce_add(sums[0] + sums[1] + (sums[2] + sums[3]));
}

// 6 chains of 16 lanes: enough to hide the latency of a multiply-add.
constexpr std::size_t kChains = 6;
float float_chains(std::size_t rounds) {
  F16x sums[kChains];
  for (std::size_t j = 0; j < kChains; ++j) sums[j] = broadcast(static_cast<float>(j));
  const F16x a = broadcast(0.999F);
  const F16x b = broadcast(0.001F);
  for (std::size_t i = 0; i < rounds; ++i)
    for (std::size_t j = 0; j < kChains; ++j) sums[j] = fma(sums[j], a, b);
  F16x total = zero();
  for (std::size_t j = 0; j < kChains; ++j) total = total + sums[j];
  return reduce_add(total);
}

// The instruction that the integer products live on, 8 chains; multiply-adds of one round.
#if MALINA_ISA_AVX512
constexpr std::size_t kIntegerRound = 8 * 64;
std::int32_t integer_chains(std::size_t rounds) {
  __m512i sums[8];
  for (auto& sum : sums) sum = _mm512_setzero_si512();
  __m512i a = _mm512_set1_epi8(3);
  const __m512i b = _mm512_set1_epi8(-2);
  for (std::size_t i = 0; i < rounds; ++i)
    for (auto& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, b);
  __m512i total = sums[0];
  for (int j = 1; j < 8; ++j) total = _mm512_add_epi32(total, sums[j]);
  return _mm_cvtsi128_si32(_mm512_castsi512_si128(total));
}
#elif MALINA_ISA_AVXVNNI
constexpr std::size_t kIntegerRound = 8 * 32;
std::int32_t integer_chains(std::size_t rounds) {
  __m256i sums[8];
  for (auto& sum : sums) sum = _mm256_setzero_si256();
  const __m256i a = _mm256_set1_epi8(3);
  const __m256i b = _mm256_set1_epi8(-2);
  for (std::size_t i = 0; i < rounds; ++i)
    for (auto& sum : sums) sum = _mm256_dpbusd_avx_epi32(sum, a, b);
  __m256i total = sums[0];
  for (int j = 1; j < 8; ++j) total = _mm256_add_epi32(total, sums[j]);
  return _mm256_cvtsi256_si32(total);
}
#elif MALINA_ISA_AVX2
constexpr std::size_t kIntegerRound = 8 * 32;
std::int32_t integer_chains(std::size_t rounds) {
  // Products summed in 16 bits, as for 4-bit weights; they may wrap, which costs no time.
  __m256i sums[8];
  for (auto& sum : sums) sum = _mm256_setzero_si256();
  __m256i a = _mm256_set1_epi8(3);
  const __m256i b = _mm256_set1_epi8(-2);
  for (std::size_t i = 0; i < rounds; ++i) {
    for (auto& sum : sums) sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(a, b));
    a = _mm256_xor_si256(a, sums[0]);  // so that no product can be taken out of the loop
  }
  __m256i total = sums[0];
  for (int j = 1; j < 8; ++j) total = _mm256_add_epi16(total, sums[j]);
  return _mm256_cvtsi256_si32(total);
}
#else
constexpr std::size_t kIntegerRound = 6 * 16;
std::int32_t integer_chains(std::size_t rounds) {
  I16x sums[6];
  for (auto& sum : sums) sum = broadcast_int(1);
  const I16x a = broadcast_int(3);
  for (std::size_t i = 0; i < rounds; ++i)
    for (auto& sum : sums) sum = sum * a + a;
  I16x total = sums[0];
  for (int j = 1; j < 6; ++j) total = total + sums[j];
  return reduce_add(total);
}
#endif

struct LimitKernels {
  float (*read_block)(const float*, std::size_t);
  float (*float_chains)(std::size_t);
  std::int32_t (*integer_chains)(std::size_t);
  std::size_t float_round, integer_round;
};
constexpr LimitKernels kernels{read_block, float_chains, integer_chains, kChains * 16,
                               kIntegerRound};

MALINA_ISA_END

#if MALINA_ONCE
namespace malina::math {
namespace {

std::atomic<float> result_sink{0};  // what is stored here has been computed

constexpr int kTries = 5;

// The shortest of a few runs, in seconds.
template <class Function>
double best_seconds(Function&& function) {
  double best = 1e30;
  for (int i = 0; i < kTries; ++i) {
    const auto start = std::chrono::steady_clock::now();
    function();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count());
  }
  return best;
}

// The table's entries are of a type of their own in each namespace, with the same members.
template <class Use>
double with_kernels(Isa isa, Use&& use) {
#if MALINA_HAS_AVX2
  if (isa == Isa::avx2) return use(avx2::kernels);
  if (isa == Isa::avxvnni) return use(avxvnni::kernels);
#endif
#if MALINA_HAS_AVX512
  if (isa == Isa::avx512) return use(avx512::kernels);
#endif
#if MALINA_HAS_NEON
  if (isa == Isa::neon) return use(neon::kernels);
#endif
  return use(baseline::kernels);
}

}  // namespace

double measure_read_bandwidth(base::ThreadPool& pool, Isa isa, std::size_t bytes) {
  const base::MemoryRegion block(bytes);
  auto* data = reinterpret_cast<float*>(block.data());
  const std::size_t count = bytes / sizeof(float);
  for (std::size_t i = 0; i < count; i += 512) data[i] = 1;  // makes every page resident
  return with_kernels(isa, [&](const auto& kernels) {
    const std::size_t parts = pool.threads() * 8;
    const double seconds = best_seconds([&] {
      pool.run(parts, [&](std::size_t part) {
        const std::size_t first = count * part / parts;
        result_sink.store(kernels.read_block(data + first, count * (part + 1) / parts - first),
                          std::memory_order_relaxed);
      });
    });
    return static_cast<double>(bytes) / seconds;
  });
}

double measure_float_rate(base::ThreadPool& pool, Isa isa) {
  constexpr std::size_t kRounds = 2'000'000;
  return with_kernels(isa, [&](const auto& kernels) {
    const double seconds = best_seconds([&] {
      pool.run(pool.threads(), [&](std::size_t) {
        result_sink.store(kernels.float_chains(kRounds), std::memory_order_relaxed);
      });
    });
    return static_cast<double>(kRounds * kernels.float_round * pool.threads()) / seconds;
  });
}

double measure_integer_rate(base::ThreadPool& pool, Isa isa) {
  constexpr std::size_t kRounds = 2'000'000;
  return with_kernels(isa, [&](const auto& kernels) {
    const double seconds = best_seconds([&] {
      pool.run(pool.threads(), [&](std::size_t) {
        result_sink.store(static_cast<float>(kernels.integer_chains(kRounds)),
                          std::memory_order_relaxed);
      });
    });
    return static_cast<double>(kRounds * kernels.integer_round * pool.threads()) / seconds;
  });
}

}  // namespace malina::math
#endif
