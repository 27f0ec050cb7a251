#include "math/ops/row_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "math/ops/reference.h"

namespace malina::math {
namespace {

constexpr std::size_t kWidths[] = {1, 7, 16, 31, 32, 48, 64, 576, 1000};

std::vector<float> random_floats(base::Random& random, std::size_t count, float size = 3) {
  std::vector<float> values(count);
  for (float& value : values) value = random.uniform(-size, size);
  return values;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

TEST(RmsNorm, IsTheReferenceOnEveryInstructionSet) {
  base::Random random(1);
  for (const std::size_t width : kWidths) {
    const auto input = random_floats(random, width);
    const auto weight = random_floats(random, width);
    const auto expected = reference::rms_norm<double>(input, weight, 1e-5);
    std::vector<float> first;
    for (const Isa isa : available_isas()) {
      std::vector<float> output(width);
      row_kernels(isa).rms_norm(input.data(), weight.data(), 1e-5F, width, output.data());
      for (std::size_t i = 0; i < width; ++i)
        EXPECT_NEAR(output[i], expected[i], 2e-6 * (1 + std::abs(expected[i])));
      if (first.empty()) first = output;
      EXPECT_TRUE(same_bits(output, first)) << name(isa) << " " << width;
      // In place, as the forward pass uses it.
      std::vector<float> same = input;
      row_kernels(isa).rms_norm(same.data(), weight.data(), 1e-5F, width, same.data());
      EXPECT_TRUE(same_bits(same, first));
    }
  }
}

TEST(LayerNorm, IsTheReferenceOnEveryInstructionSet) {
  base::Random random(6);
  for (const std::size_t width : kWidths) {
    auto input = random_floats(random, width);
    for (float& x : input) x += 10;  // a mean that must go
    const auto weight = random_floats(random, width);
    const auto bias = random_floats(random, width);
    for (const bool biased : {true, false}) {
      const auto expected = reference::layer_norm<double>(
          input, weight, biased ? std::span<const float>(bias) : std::span<const float>(), 1e-5);
      std::vector<float> first;
      for (const Isa isa : available_isas()) {
        std::vector<float> output = input;  // in place
        row_kernels(isa).layer_norm(output.data(), weight.data(), biased ? bias.data() : nullptr,
                                    1e-5F, width, output.data());
        for (std::size_t i = 0; i < width; ++i)
          EXPECT_NEAR(output[i], expected[i], 3e-5 * (1 + std::abs(expected[i]))) << width;
        if (first.empty()) first = output;
        EXPECT_TRUE(same_bits(output, first)) << name(isa) << " " << width;
      }
    }
  }
}

TEST(Quantize, RoundsEachBlockToItsOwnScale) {
  base::Random random(2);
  auto input = random_floats(random, 320);
  std::fill_n(input.begin() + 64, 32, 0.0F);  // a block of zeros
  input[100] = 1e30F;
  for (const Isa isa : available_isas()) {
    std::vector<std::int8_t> values(320);
    std::vector<float> scales(10);
    std::vector<std::int32_t> sums(20);
    row_kernels(isa).quantize(input.data(), 320, values.data(), scales.data(), sums.data());
    for (std::size_t block = 0; block < 10; ++block) {
      float greatest = 0;
      for (std::size_t i = 0; i < 32; ++i)
        greatest = std::max(greatest, std::abs(input[32 * block + i]));
      EXPECT_EQ(scales[block], greatest / 127.0F);
      const float inverse = greatest > 0 ? 127.0F / greatest : 0.0F;
      for (std::size_t i = 32 * block; i < 32 * block + 32; ++i)
        EXPECT_EQ(values[i], static_cast<int>(std::nearbyint(input[i] * inverse)));
      for (std::size_t half = 0; half < 2; ++half) {
        int sum = 0;
        for (std::size_t i = 0; i < 16; ++i) sum += values[32 * block + 16 * half + i];
        EXPECT_EQ(sums[2 * block + half], sum);
      }
    }
  }
}

using GateKernel = void (*RowKernels::*)(const float*, const float*, std::size_t, float*);

void expect_gate(GateKernel kernel, double (*activation)(double)) {
  base::Random random(3);
  for (const std::size_t width : kWidths) {
    const auto gate = random_floats(random, width, width % 2 == 0 ? 4 : 100);
    const auto up = random_floats(random, width);
    for (const bool gated : {true, false}) {
      std::vector<float> first;
      for (const Isa isa : available_isas()) {
        std::vector<float> output(width);
        (row_kernels(isa).*kernel)(gate.data(), gated ? up.data() : nullptr, width, output.data());
        for (std::size_t i = 0; i < width; ++i) {
          const double expected = activation(double{gate[i]}) * (gated ? double{up[i]} : 1.0);
          EXPECT_NEAR(output[i], expected, 1e-6 * (1 + std::abs(expected)));
        }
        if (first.empty()) first = output;
        EXPECT_TRUE(same_bits(output, first)) << name(isa) << " " << width;
      }
    }
  }
}

TEST(SiluGate, IsTheReferenceOnEveryInstructionSet) {
  expect_gate(&RowKernels::silu_gate, reference::silu<double>);
}

TEST(GeluGate, IsTheReferenceOnEveryInstructionSet) {
  expect_gate(&RowKernels::gelu_gate, reference::gelu_tanh<double>);
}

TEST(Dot, IsTheReferenceOnEveryInstructionSet) {
  base::Random random(4);
  for (const std::size_t width : kWidths) {
    const auto a = random_floats(random, width);
    const auto b = random_floats(random, width);
    double expected = 0;
    for (std::size_t i = 0; i < width; ++i) expected += double{a[i]} * double{b[i]};
    const float first = row_kernels(Isa::baseline).dot(a.data(), b.data(), width);
    EXPECT_NEAR(first, expected, 1e-4);
    for (const Isa isa : available_isas())
      EXPECT_EQ(row_kernels(isa).dot(a.data(), b.data(), width), first);
  }
}

TEST(LogSumExp, IsTheReferenceToFloatPrecision) {
  base::Random random(5);
  for (const std::size_t width : {1UL, 5UL, 16UL, 300UL, 49152UL}) {
    auto input = random_floats(random, width, 20);
    const double expected = reference::log_sum_exp<double>(input);
    const double first = row_kernels(Isa::baseline).log_sum_exp(input.data(), width);
    EXPECT_NEAR(first, expected, 1e-6 * (1 + std::abs(expected))) << width;
    for (const Isa isa : available_isas())
      EXPECT_EQ(row_kernels(isa).log_sum_exp(input.data(), width), first);
  }
}

}  // namespace
}  // namespace malina::math
