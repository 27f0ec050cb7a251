#include "math/ops/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "math/pack_floats.h"
#include "math/pack_floats.h"

namespace malina::math {
namespace {

std::vector<float> random_floats(base::Random& random, std::size_t count) {
  std::vector<float> values(count);
  for (float& value : values) value = random.uniform(-1, 1);
  return values;
}

// A packed matrix with its decoded values.
struct Weight {
  std::unique_ptr<Buffer> buffer;
  Slice slice;
  std::vector<float> values;
};

Weight make_weight(Device& device, const char* name, std::size_t rows, std::size_t columns,
                   base::Random& random) {
  const Encoding& encoding = *find_encoding(std::string_view(name));
  Weight weight{device.allocate(packed_bytes(rows, columns, encoding)), {}, {}};
  weight.slice = packed_slice(*weight.buffer, 0, rows, columns, encoding);
  std::vector<std::byte> file(rows * encoding.row_bytes(columns));
  for (std::size_t row = 0; row < rows; ++row) {
    const auto values = random_floats(random, columns);
    std::byte* bytes = file.data() + row * encoding.row_bytes(columns);
    encoding.encode(values.data(), columns, nullptr, bytes);
    std::vector<float> decoded(columns);
    encoding.decode(bytes, columns, decoded.data());
    weight.values.insert(weight.values.end(), decoded.begin(), decoded.end());
  }
  for (std::size_t row = 0; row < rows; row += kGroupRows) {
    std::array<const std::byte*, kGroupRows> group{};
    for (std::size_t i = 0; i < kGroupRows && row + i < rows; ++i)
      group[i] = file.data() + (row + i) * encoding.row_bytes(columns);
    encoding.pack(group, columns,
                  weight.buffer->host() + row / kGroupRows * encoding.group_bytes(columns));
  }
  return weight;
}

struct Problem {
  static constexpr std::size_t kRows = 5, kWidth = 64, kOutputs = 40;

  explicit Problem(const char* encoding, unsigned threads = 2)
      : pool(threads),
        device(pool),
        random(9),
        weight(make_weight(device, encoding, kOutputs, kWidth, random)) {
    buffer = device.allocate(1 << 20);
    input = float_slice(*buffer, 0, kRows, kWidth);
    output = float_slice(*buffer, 4096, kRows, kOutputs);
    bias = float_slice(*buffer, 16384, 1, kOutputs);
    inputs = random_floats(random, kRows * kWidth);
    std::copy(inputs.begin(), inputs.end(), host_floats(input));
    biases = random_floats(random, kOutputs);
    std::copy(biases.begin(), biases.end(), host_floats(bias));
    std::fill_n(host_floats(output), kRows * kOutputs, 0.5F);
  }

  double expected(std::size_t m, std::size_t n) const {
    double sum = 0;
    for (std::size_t k = 0; k < kWidth; ++k)
      sum += double{inputs[m * kWidth + k]} * double{weight.values[n * kWidth + k]};
    return sum;
  }

  void run(const LinearPart& part, Precision precision, bool refined = false) {
    const std::array parts{part};
    device.run(Linear{.input = input,
                      .parts = parts,
                      .scratch = {buffer.get(), 65536, 2 * kRows, kWidth},
                      .precision = precision,
                      .refined = refined});
  }

  base::ThreadPool pool;
  CpuDevice device;
  base::Random random;
  Weight weight;
  std::unique_ptr<Buffer> buffer;
  Slice input, output, bias;
  std::vector<float> inputs, biases;
};

TEST(Linear, ExactIsTheProductOfDecodedWeights) {
  for (const char* encoding : {"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1"}) {
    Problem problem(encoding);
    problem.run({.weight = problem.weight.slice, .bias = problem.bias, .output = problem.output},
                Precision::exact);
    for (std::size_t m = 0; m < Problem::kRows; ++m)
      for (std::size_t n = 0; n < Problem::kOutputs; ++n)
        EXPECT_NEAR(host_floats(problem.output)[m * Problem::kOutputs + n],
                    problem.expected(m, n) + problem.biases[n], 1e-5)
            << encoding;
  }
}

TEST(Linear, FastIsNearAndAddsWhereAsked) {
  for (const char* encoding : {"q8_0", "q4_0", "q4_1"}) {
    Problem problem(encoding);
    problem.run({.weight = problem.weight.slice, .bias = {}, .output = problem.output, .add = true},
                Precision::fast);
    for (std::size_t m = 0; m < Problem::kRows; ++m)
      for (std::size_t n = 0; n < Problem::kOutputs; ++n)
        EXPECT_NEAR(host_floats(problem.output)[m * Problem::kOutputs + n],
                    problem.expected(m, n) + 0.5, 0.05)
            << encoding;
  }
}

TEST(Linear, RefinedIsNearlyExact) {
  for (const char* encoding : {"q8_0", "q4_0", "q4_1"}) {
    Problem problem(encoding);
    problem.run({.weight = problem.weight.slice, .bias = {}, .output = problem.output, .add = true},
                Precision::fast, true);
    for (std::size_t m = 0; m < Problem::kRows; ++m)
      for (std::size_t n = 0; n < Problem::kOutputs; ++n)
        EXPECT_NEAR(host_floats(problem.output)[m * Problem::kOutputs + n],
                    problem.expected(m, n) + 0.5, 2e-4)
            << encoding;
  }
}

TEST(Linear, AdaptersAddTheirLowRankProductToTheirRows) {
  Problem problem("q8_0");
  constexpr std::size_t kRank = 3;
  const auto a = random_floats(problem.random, kRank * Problem::kWidth);
  const auto b = random_floats(problem.random, Problem::kOutputs * kRank);
  auto buffer = problem.device.allocate(1 << 16);
  const Encoding& single = *find_encoding("f32");
  const Slice a_slice = packed_slice(*buffer, 0, kRank, Problem::kWidth, single);
  const Slice b_slice = packed_slice(*buffer, 16384, Problem::kOutputs, kRank, single);
  pack_floats(a.data(), a_slice);
  pack_floats(b.data(), b_slice);
  const std::array adapters{LowRank{a_slice, b_slice, 0.5F, 1, 3}};  // rows 1, 2, 3
  problem.run(
      {.weight = problem.weight.slice, .bias = {}, .output = problem.output, .adapters = adapters},
      Precision::exact);
  for (std::size_t m = 0; m < Problem::kRows; ++m)
    for (std::size_t n = 0; n < Problem::kOutputs; ++n) {
      double low_rank = 0;
      for (std::size_t r = 0; r < kRank && m >= 1 && m <= 3; ++r) {
        double h = 0;
        for (std::size_t k = 0; k < Problem::kWidth; ++k)
          h += double{problem.inputs[m * Problem::kWidth + k]} * double{a[r * Problem::kWidth + k]};
        low_rank += h * double{b[n * kRank + r]};
      }
      EXPECT_NEAR(host_floats(problem.output)[m * Problem::kOutputs + n],
                  problem.expected(m, n) + 0.5 * low_rank, 1e-5);
    }
}

// A row's bits are the same alone, among rows of the same adapter and beside other adapters.
TEST(Linear, ARowOfAnAdapterDoesNotDependOnItsCompany) {
  for (const char* encoding : {"f32", "f16"}) {
    Problem problem("q8_0");
    constexpr std::size_t kRank = 16;
    auto buffer = problem.device.allocate(1 << 16);
    const Encoding& kind = *find_encoding(std::string_view(encoding));
    std::vector<Slice> slices;
    std::size_t offset = 0;
    for (int i = 0; i < 4; ++i) {
      const bool is_b = i % 2 == 1;
      const std::size_t rows = is_b ? Problem::kOutputs : kRank;
      const std::size_t columns = is_b ? kRank : Problem::kWidth;
      slices.push_back(packed_slice(*buffer, offset, rows, columns, kind));
      pack_floats(random_floats(problem.random, rows * columns).data(), slices.back());
      offset += packed_bytes(rows, columns, kind);
    }
    const auto row_with = [&](std::vector<LowRank> adapters, std::size_t row) {
      problem.run({.weight = problem.weight.slice,
                   .bias = {},
                   .output = problem.output,
                   .adapters = adapters},
                  Precision::fast);
      const float* values = host_floats(problem.output) + row * Problem::kOutputs;
      return std::vector<float>(values, values + Problem::kOutputs);
    };
    const LowRank first{slices[0], slices[1], 2.0F, 0, 5};
    const LowRank second{slices[2], slices[3], 0.5F, 0, 1};
    auto alone = first;
    alone.first = 3;
    alone.count = 1;
    auto neighbour = second;
    neighbour.first = 4;
    EXPECT_EQ(row_with({first}, 3), row_with({alone}, 3)) << encoding;
    EXPECT_EQ(row_with({first}, 3), row_with({second, alone, neighbour}, 3)) << encoding;
    EXPECT_NE(row_with({first}, 3), row_with({}, 3)) << encoding;
  }
}

// The loss is the sum of output * gradient, so its slope by an input is what backward must add.
TEST(LinearBackward, MatchesNumericalSlope) {
  for (const char* encoding : {"f32", "q4_1"}) {
    Problem problem(encoding);
    const auto gradient = random_floats(problem.random, Problem::kRows * Problem::kOutputs);
    std::copy(gradient.begin(), gradient.end(), host_floats(problem.output));
    const Slice result = float_slice(*problem.buffer, 32768, Problem::kRows, Problem::kWidth);
    std::fill_n(host_floats(result), Problem::kRows * Problem::kWidth, 2.0F);  // is added to
    problem.device.run(LinearBackward{problem.output, problem.weight.slice, result});
    const auto loss = [&] {
      double sum = 0;
      for (std::size_t m = 0; m < Problem::kRows; ++m)
        for (std::size_t n = 0; n < Problem::kOutputs; ++n)
          sum += problem.expected(m, n) * double{gradient[m * Problem::kOutputs + n]};
      return sum;
    };
    for (const std::size_t index : {0UL, 17UL, 63UL, 64UL, 200UL, 319UL}) {
      const float before = problem.inputs[index];
      constexpr float kStep = 0.25F;  // the loss is linear, so any step will do
      problem.inputs[index] = before + kStep;
      const double above = loss();
      problem.inputs[index] = before - kStep;
      const double below = loss();
      problem.inputs[index] = before;
      EXPECT_NEAR(host_floats(result)[index], 2 + (above - below) / (2 * kStep), 1e-4) << encoding;
    }
  }
}

TEST(PlanningDevice, CountsWithoutComputing) {
  PlanningDevice device;
  const auto buffer = device.allocate(1 << 20);
  EXPECT_EQ(device.allocated_bytes(), 1U << 20);
  const Encoding& encoding = *find_encoding(std::string_view("q4_1"));
  const std::array parts{LinearPart{.weight = packed_slice(*buffer, 0, 64, 32, encoding),
                                    .bias = {},
                                    .output = float_slice(*buffer, 65536, 2, 64)}};
  device.run(Linear{.input = float_slice(*buffer, 32768, 2, 32), .parts = parts, .scratch = {}});
  EXPECT_EQ(device.total().multiply_adds, 2 * 64 * 32);
  EXPECT_EQ(device.total().read_bytes, 2 * 32 * 4 + 64 * 20);
  EXPECT_EQ(device.by_operation().at(0).first, "linear");
}

}  // namespace
}  // namespace malina::math
