// Every instruction set must give the bits of the baseline, operation by operation.
#define MALINA_KERNELS "math/simd/instruction_sets_test.cpp"

#include "math/simd/foreach_isa.h"
#include "math/simd/vector.h"

#ifndef MALINA_VECTOR_TEST_INPUTS
#define MALINA_VECTOR_TEST_INPUTS
namespace malina::math {
// a, b, c: 16 floats; bytes, halves: 16 values.
struct VectorTestInputs {
  const float *a, *b, *c;
  const std::int8_t* bytes;
  const std::uint16_t* halves;
  std::size_t count;
};
constexpr std::size_t kVectorTestOutputs = 24;
}  // namespace malina::math
#endif

MALINA_ISA_BEGIN

// One vector of every operation.
void run_all(const VectorTestInputs& in, float* output) {
  const F16x a = load(in.a), b = load(in.b), c = load(in.c);
  std::size_t slot = 0;
  store(a + b, output + 16 * slot++);
  store(a - b, output + 16 * slot++);
  store(a * b, output + 16 * slot++);
  store(a / b, output + 16 * slot++);
  store(fma(a, b, c), output + 16 * slot++);
  store(fnma(a, b, c), output + 16 * slot++);
  store(min(a, b), output + 16 * slot++);
  store(max(a, b), output + 16 * slot++);
  store(sqrt(abs(a)), output + 16 * slot++);
  store(exp(a), output + 16 * slot++);
  store(exp(c * broadcast(40.0F)), output + 16 * slot++);
  store(select(less(a, b), b, c), output + 16 * slot++);
  store(select(greater(a, b), b, c), output + 16 * slot++);
  store(select(first_lanes(in.count), a, c), output + 16 * slot++);
  store(load(in.a, in.count), output + 16 * slot++);
  store(a, output + 16 * slot++, in.count);
  store(to_float(round_to_int(c)), output + 16 * slot++);
  store(to_float(load_int8(in.bytes)), output + 16 * slot++);
  store(load_float16(in.halves), output + 16 * slot++);
  store(load_bfloat16(in.halves), output + 16 * slot++);
  std::uint16_t halves[16];
  store_float16(a, halves);
  store(load_float16(halves), output + 16 * slot++);
  std::int8_t bytes[16];
  store_int8(load_int8(in.bytes) + broadcast_int(-1), bytes);
  store(to_float(load_int8(bytes) * load_int8(in.bytes)), output + 16 * slot++);
  output[16 * slot] = reduce_add(a);
  output[16 * slot + 1] = reduce_max(a);
  output[16 * slot + 2] = static_cast<float>(reduce_add(load_int8(in.bytes)));
  ++slot;
  std::int32_t integers[16];
  store_int(round_to_int(c) - load_int8(in.bytes), integers);
  store(to_float(load_int(integers)), output + 16 * slot++);
}

MALINA_ISA_END

#if MALINA_ONCE

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

namespace malina::math {
namespace {

constexpr auto kRunAll = MALINA_ISA_TABLE(run_all);

TEST(Vector, EveryInstructionSetGivesTheSameBits) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0F, 1.0F);
  const float special[] = {0.0F, -0.0F, 1.0F, -1.0F, 0.5F, 1.5F, -2.5F, 1e-30F, 65504.0F, 1e30F};
  for (int round = 0; round < 500; ++round) {
    float a[16], b[16], c[16];
    std::int8_t bytes[16];
    std::uint16_t halves[16];
    const float size = std::exp2(static_cast<float>(round % 24 - 12));
    for (std::size_t i = 0; i < 16; ++i) {
      a[i] = normal(random) * size;
      b[i] = normal(random);
      c[i] = normal(random) * 3.0F;
      if (round % 3 == 0) a[i] = special[random() % std::size(special)];
      bytes[i] = static_cast<std::int8_t>(static_cast<int>(random() % 255) - 127);
      halves[i] = static_cast<std::uint16_t>(random() % 0x7C00U) |
                  static_cast<std::uint16_t>((random() & 1U) << 15);
    }
    const std::size_t count = static_cast<std::size_t>(round) % 17;
    std::vector<float> expected(16 * kVectorTestOutputs, 0.0F);
    baseline::run_all({a, b, c, bytes, halves, count}, expected.data());
    for (const Isa isa : available_isas()) {
      const auto run = kRunAll[static_cast<std::size_t>(isa)];
      if (run == nullptr) continue;  // an emulating build holds only some
      std::vector<float> actual(expected.size(), 0.0F);
      run({a, b, c, bytes, halves, count}, actual.data());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        ASSERT_EQ(std::bit_cast<std::uint32_t>(actual[i]),
                  std::bit_cast<std::uint32_t>(expected[i]))
            << name(isa) << ", operation " << i / 16 << ", lane " << i % 16 << ", " << expected[i];
      }
    }
  }
}

TEST(Vector, ExponentialIsWithinTwoUnitsInTheLastPlace) {
  double worst = 0.0;
  for (int i = -87 * 4096; i < 88 * 4096; i += 16) {
    float x[16], y[16];
    for (int lane = 0; lane < 16; ++lane) x[lane] = static_cast<float>(i + lane) / 4096.0F;
    baseline::store(baseline::exp(baseline::load(x)), y);
    for (int lane = 0; lane < 16; ++lane) {
      const double exact = std::exp(static_cast<double>(x[lane]));
      const double unit = std::exp2(std::floor(std::log2(exact)) - 23.0);
      worst = std::max(worst, std::fabs(static_cast<double>(y[lane]) - exact) / unit);
    }
  }
  EXPECT_LT(worst, 2.0);
}

TEST(Vector, ExponentialAtTheEdges) {
  const float infinity = std::numeric_limits<float>::infinity();
  float x[16] = {-infinity, infinity, 0.0F, -0.0F, -88.0F, 1000.0F, std::nanf("")};
  float y[16];
  baseline::store(baseline::exp(baseline::load(x)), y);
  EXPECT_EQ(y[0], 0.0F);
  EXPECT_EQ(y[1], y[5]);
  EXPECT_TRUE(std::isfinite(y[5]));
  EXPECT_GT(y[5], 2e38F);
  EXPECT_EQ(y[2], 1.0F);
  EXPECT_EQ(y[3], 1.0F);
  EXPECT_EQ(y[4], 0.0F);
  EXPECT_TRUE(std::isnan(y[6]));
}

TEST(Isa, BaselineIsAlwaysThereAndTheBestIsSelected) {
  const std::vector<Isa> isas = available_isas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), Isa::baseline);
  if (std::getenv("MALINA_ISA") == nullptr) {
    EXPECT_EQ(selected_isa(), isas.back());
  }
}

}  // namespace
}  // namespace malina::math

#endif  // MALINA_ONCE
