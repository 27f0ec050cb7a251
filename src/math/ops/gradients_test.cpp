// The backward pass: every reference loop against a numerical slope in double precision, every
// kernel against its reference loop.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include "base/random.h"
#include "math/ops/cross_entropy.h"
#include "math/ops/experts.h"
#include "math/ops/gated_unit.h"
#include "math/ops/gradient_kernels.h"
#include "math/ops/layer_norm.h"
#include "math/ops/matrix_product.h"
#include "math/ops/packed_attention.h"
#include "math/ops/reference_gradient.h"
#include "math/ops/rms_norm.h"
#include "math/ops/rotary.h"
#include "math/ops/transpose_packed.h"

namespace malina::math {
namespace {

using reference::Row;
using reference::Rows;

Row<double> random_row(base::Random& random, std::size_t count, double size = 2) {
  Row<double> row(count);
  // Floats, so that a kernel is given the very same numbers.
  for (double& value : row) value = static_cast<float>(size * (2 * random.uniform() - 1));
  return row;
}

std::vector<float> floats(const Row<double>& row) { return {row.begin(), row.end()}; }

double dot(const Row<double>& a, const Row<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// The slope of f along each element of x, by central differences of fourth order.
Row<double> numerical(Row<double> x, const std::function<double(const Row<double>&)>& f) {
  Row<double> slope;
  constexpr double kStep = 1e-3;
  for (double& element : x) {
    const double middle = element;
    const auto at = [&](double offset) {
      element = middle + offset * kStep;
      return f(x);
    };
    slope.push_back((8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * kStep));
    element = middle;
  }
  return slope;
}

void expect_near(const Row<double>& actual, const Row<double>& expected, double bound) {
  ASSERT_EQ(actual.size(), expected.size());
  double size = 1;
  for (const double value : expected) size = std::max(size, std::abs(value));
  for (std::size_t i = 0; i < actual.size(); ++i)
    EXPECT_NEAR(actual[i], expected[i], bound * size) << "element " << i;
}

Row<double> widened(const std::vector<float>& row) { return {row.begin(), row.end()}; }

constexpr std::size_t kWidths[] = {1, 7, 16, 33, 64, 576};

// --- norms ---

using NormGradient =
    std::function<Row<double>(const Row<double>&, const Row<double>&, const Row<double>&)>;
using NormKernel = void (*GradientKernels::*)(const float*, const float*, float, const float*,
                                              std::size_t, float*);

void expect_norm(const std::function<Row<double>(const Row<double>&, const Row<double>&)>& norm,
                 const NormGradient& gradient, NormKernel kernel) {
  base::Random random(1);
  for (const std::size_t width : kWidths) {
    const auto x = random_row(random, width);
    const auto weight = random_row(random, width);
    const auto dy = random_row(random, width);
    const auto expected = gradient(x, weight, dy);
    if (width > 1)
      expect_near(expected, numerical(x, [&](const auto& at) { return dot(norm(at, weight), dy); }),
                  1e-6);
    std::vector<float> first;
    for (const Isa isa : available_isas()) {
      std::vector<float> dx(width, 1.0F);  // it is added to
      (gradient_kernels(isa).*kernel)(floats(x).data(), floats(weight).data(), 1e-2F,
                                      floats(dy).data(), width, dx.data());
      if (first.empty()) first = dx;
      EXPECT_EQ(std::memcmp(first.data(), dx.data(), width * sizeof(float)), 0) << name(isa);
      Row<double> added = expected;
      for (double& value : added) value += 1;
      expect_near(widened(dx), added, 5e-6);
    }
  }
}

const double kEpsilon = 1e-2F;

TEST(RmsNormBackward, IsTheSlope) {
  expect_norm(
      [](const Row<double>& x, const Row<double>& weight) {
        Row<double> y;
        const double factor = 1 / std::sqrt(dot(x, x) / static_cast<double>(x.size()) + kEpsilon);
        for (std::size_t i = 0; i < x.size(); ++i) y.push_back(x[i] * factor * weight[i]);
        return y;
      },
      [](const auto& x, const auto& weight, const auto& dy) {
        return reference::rms_norm_gradient<double>(x, weight, kEpsilon, dy);
      },
      &GradientKernels::rms_norm);
}

TEST(LayerNormBackward, IsTheSlope) {
  expect_norm(
      [](const Row<double>& x, const Row<double>& weight) {
        const auto n = static_cast<double>(x.size());
        double mean = 0, variance = 0;
        for (const double value : x) mean += value / n;
        for (const double value : x) variance += (value - mean) * (value - mean) / n;
        Row<double> y;
        for (std::size_t i = 0; i < x.size(); ++i)
          y.push_back((x[i] - mean) / std::sqrt(variance + kEpsilon) * weight[i]);
        return y;
      },
      [](const auto& x, const auto& weight, const auto& dy) {
        return reference::layer_norm_gradient<double>(x, weight, kEpsilon, dy);
      },
      &GradientKernels::layer_norm);
}

// --- activations ---

void expect_gate(double (*activation)(double), double (*slope)(double),
                 void (*GradientKernels::*kernel)(const float*, const float*, const float*,
                                                  std::size_t, float*, float*)) {
  base::Random random(2);
  for (const double size : {3.0, 60.0}) {
    const auto x = random_row(random, 100, size);
    const auto up = random_row(random, 100);
    const auto dy = random_row(random, 100);
    Row<double> dx, du;
    for (std::size_t i = 0; i < x.size(); ++i) {
      dx.push_back(dy[i] * up[i] * slope(x[i]));
      du.push_back(dy[i] * activation(x[i]));
    }
    expect_near(dx,
                numerical(x,
                          [&](const auto& at) {
                            double sum = 0;
                            for (std::size_t i = 0; i < at.size(); ++i)
                              sum += dy[i] * up[i] * activation(at[i]);
                            return sum;
                          }),
                1e-6);
    std::vector<float> first;
    for (const Isa isa : available_isas()) {
      std::vector<float> gate = floats(x), other = floats(up), alone = floats(x);
      // In place, as the backward pass uses it.
      (gradient_kernels(isa).*kernel)(gate.data(), other.data(), floats(dy).data(), x.size(),
                                      gate.data(), other.data());
      expect_near(widened(gate), dx, 1e-6);
      expect_near(widened(other), du, 1e-6);
      (gradient_kernels(isa).*kernel)(alone.data(), nullptr, floats(dy).data(), x.size(),
                                      alone.data(), nullptr);
      for (std::size_t i = 0; i < x.size(); ++i)
        EXPECT_NEAR(alone[i], dy[i] * slope(x[i]), 2e-6 * (1 + std::abs(x[i])));
      if (first.empty()) first = gate;
      EXPECT_EQ(std::memcmp(first.data(), gate.data(), gate.size() * sizeof(float)), 0);
    }
  }
}

double silu(double x) { return x / (1 + std::exp(-x)); }
double gelu(double x) {
  return x / 2 *
         (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}

TEST(GatedUnitBackward, IsTheSlopeOfSilu) {
  expect_gate(silu, reference::silu_slope<double>, &GradientKernels::silu_gate);
}

TEST(GatedUnitBackward, IsTheSlopeOfGelu) {
  expect_gate(gelu, reference::gelu_tanh_slope<double>, &GradientKernels::gelu_gate);
}

// --- operations on a device ---

class GradientOperations : public ::testing::Test {
 protected:
  Slice slice(const Row<double>& values, std::size_t columns) {
    buffers_.push_back(device_.allocate(values.size() * sizeof(float)));
    const Slice result = float_slice(*buffers_.back(), 0, values.size() / columns, columns);
    for (std::size_t i = 0; i < values.size(); ++i)
      host_floats(result)[i] = static_cast<float>(values[i]);
    return result;
  }
  Slice zeros(std::size_t rows, std::size_t columns) {
    return slice(Row<double>(rows * columns, 0), columns);
  }
  static Row<double> values(const Slice& slice) {
    Row<double> result;
    for (std::size_t i = 0; i < slice.rows; ++i)
      for (std::size_t k = 0; k < slice.columns; ++k)
        result.push_back(host_floats(slice)[i * slice.stride + k]);
    return result;
  }

  base::ThreadPool pool_{2};
  CpuDevice device_{pool_};
  std::vector<std::unique_ptr<Buffer>> buffers_;
};

TEST_F(GradientOperations, TurningBackIsTheTransposedTurn) {
  base::Random random(3);
  for (const RotaryPairs pairs : {RotaryPairs::interleaved, RotaryPairs::half_split}) {
    const Slice x = slice(random_row(random, 2 * 20), 20);  // two heads of 10, 8 of them turn
    const auto before = values(x);
    const auto dy = random_row(random, 40);
    const Slice angles = zeros(2, 8);
    const std::vector<std::uint32_t> positions{3, 11};
    const std::vector<float> frequencies{1, 0.3F, 0.1F, 0.02F};
    device_.run(RotaryAngles{positions, frequencies, angles, 1.25F});
    device_.run(Rotate{x, angles, 10, pairs});
    const Slice back = slice(dy, 20);
    device_.run(Rotate{back, angles, 10, pairs, true});
    EXPECT_NEAR(dot(values(x), dy), dot(before, values(back)), 1e-5);
  }
}

TEST_F(GradientOperations, MatrixProductIsPlainLoopsAndTheSameOnEveryInstructionSet) {
  base::Random random(4);
  for (const auto& [m, k, n] : {std::array<std::size_t, 3>{1, 5, 3},
                                {13, 40, 16},
                                {100, 33, 77},
                                {200, 129, 130},
                                {16, 300, 576}}) {
    const auto left = random_row(random, m * k), right = random_row(random, k * n);
    const auto start = random_row(random, m * n);
    for (const bool transposed : {false, true}) {
      Row<double> expected = start;
      for (std::size_t i = 0; i < m; ++i)
        for (std::size_t j = 0; j < n; ++j)
          for (std::size_t s = 0; s < k; ++s)
            expected[i * n + j] +=
                0.5 * (transposed ? left[s * m + i] : left[i * k + s]) * right[s * n + j];
      Row<double> first;
      for (const Isa isa : available_isas()) {
        CpuDevice device(pool_, isa);
        const Slice output = slice(start, n);
        device.run(MatrixProduct{.left = slice(left, transposed ? m : k),
                                 .right = slice(right, n),
                                 .output = output,
                                 .left_transposed = transposed,
                                 .add = true,
                                 .scale = 0.5F});
        expect_near(values(output), expected, 1e-5);
        if (first.empty()) first = values(output);
        EXPECT_EQ(values(output), first) << name(isa);
      }
    }
  }
}

TEST_F(GradientOperations, CrossEntropyIsTheLossAndItsSlope) {
  base::Random random(5);
  const std::size_t classes = 37;
  const auto logits = random_row(random, 3 * classes, 5);
  const std::vector<std::int32_t> targets{0, 36, 17};
  const std::vector<float> weights{1, 0.25F, 2};
  const Slice rows = slice(logits, classes);
  std::vector<double> losses(3);
  device_.run(CrossEntropy{rows, targets, weights, losses});
  for (std::size_t i = 0; i < 3; ++i) {
    const Row<double> row(logits.begin() + static_cast<std::ptrdiff_t>(i * classes),
                          logits.begin() + static_cast<std::ptrdiff_t>((i + 1) * classes));
    const auto target = static_cast<std::size_t>(targets[i]);
    const auto loss = [&](const Row<double>& at) {
      double sum = 0;
      for (const double value : at) sum += std::exp(value);
      return std::log(sum) - at[target];
    };
    EXPECT_NEAR(losses[i], loss(row), 1e-6);
    auto expected = reference::cross_entropy_gradient<double>(row, target);
    expect_near(expected, numerical(row, loss), 1e-6);
    for (double& value : expected) value *= double{weights[i]};
    expect_near(values(rows.row_range(i, 1)), expected, 1e-6);
  }
}

TEST_F(GradientOperations, APackedMatrixIsTurned) {
  base::Random random(10);
  const std::size_t rows = 64, columns = 40;  // the last group of 16 is not whole
  const auto values_of = random_row(random, rows * columns);
  const Encoding& from = *find_encoding("f32");
  const Encoding& to = *find_encoding("q8_0");
  const auto memory = device_.allocate(packed_bytes(rows, columns, from));
  const Slice weight = packed_slice(*memory, 0, rows, columns, from);
  const auto file = floats(values_of);
  for (std::size_t group = 0; group < rows / kGroupRows; ++group) {
    std::array<const std::byte*, kGroupRows> group_rows{};
    for (std::size_t r = 0; r < kGroupRows; ++r)
      group_rows[r] =
          reinterpret_cast<const std::byte*>(file.data() + (group * kGroupRows + r) * columns);
    from.pack(group_rows, columns, memory->host() + group * from.group_bytes(columns));
  }
  const auto turned_memory = device_.allocate(packed_bytes(columns, rows, to));
  const Slice turned = packed_slice(*turned_memory, 0, columns, rows, to);
  device_.run(TransposePacked{weight, turned});
  for (std::size_t k = 0; k < columns; ++k) {
    std::vector<float> row(rows);
    to.products[static_cast<std::size_t>(device_.context().isa)]->decode_row(packed_matrix(turned),
                                                                             k, row.data());
    for (std::size_t n = 0; n < rows; ++n)
      EXPECT_NEAR(row[n], values_of[n * columns + k], 2.0 / 127 / 2 * 1.1);  // the scale is a half
  }
}

// --- attention ---

// Texts of several lengths, two of which continue the same prefix.
const std::vector<AttentionSpan> kSpans{
    {0, 70}, {70, 5, 0}, {75, 1}, {76, 130, AttentionSpan::kNone}, {206, 9, 0}};
constexpr std::size_t kRows = 215, kHeads = 4, kKeyHeads = 2, kWidth = 6;

TEST(PackedAttentionReference, IsTheSlope) {
  base::Random random(6);
  reference::AttentionParts<double> parts;
  for (std::size_t i = 0; i < 7; ++i) {
    parts.key.push_back(random_row(random, 4));
    parts.value.push_back(random_row(random, 4));
    if (i >= 3) parts.query.push_back(random_row(random, 4));
  }
  parts.first = 3;
  parts.scale = 0.6;
  for (const std::size_t window : {0U, 3U}) {
    parts.window = window;
    Rows<double> dy;
    for (std::size_t i = 0; i < 4; ++i) dy.push_back(random_row(random, 4));
    const auto gradient = parts.gradient(dy);
    for (auto member :
         {&reference::AttentionParts<double>::query, &reference::AttentionParts<double>::key,
          &reference::AttentionParts<double>::value}) {
      for (std::size_t row = 0; row < (parts.*member).size(); ++row) {
        expect_near((gradient.*member)[row],
                    numerical((parts.*member)[row],
                              [&](const auto& at) {
                                auto moved = parts;
                                (moved.*member)[row] = at;
                                double sum = 0;
                                const auto output = moved.output();
                                for (std::size_t i = 0; i < dy.size(); ++i)
                                  sum += dot(output[i], dy[i]);
                                return sum;
                              }),
                    1e-6);
      }
    }
  }
}

class PackedAttentionTest : public GradientOperations {
 protected:
  // What one head of one span's text is, as the reference takes it.
  reference::AttentionParts<double> parts(std::size_t span, std::size_t head, std::size_t window) {
    reference::AttentionParts<double> result;
    const std::size_t key_head = head / (kHeads / kKeyHeads);
    const auto head_row = [](const Row<double>& all, std::size_t row, std::size_t columns,
                             std::size_t first) {
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(row * columns + first);
      return Row<double>(begin, begin + kWidth);
    };
    const auto add = [&](const AttentionSpan& from, bool queries) {
      for (std::size_t row = from.first; row < from.first + from.count; ++row) {
        result.key.push_back(head_row(key, row, kKeyHeads * kWidth, key_head * kWidth));
        result.value.push_back(head_row(value, row, kKeyHeads * kWidth, key_head * kWidth));
        if (queries) result.query.push_back(head_row(query, row, kHeads * kWidth, head * kWidth));
      }
    };
    const AttentionSpan& own = kSpans[span];
    if (own.prefix != AttentionSpan::kNone) {
      add(kSpans[own.prefix], false);
      result.first = kSpans[own.prefix].count;
    }
    add(own, true);
    result.window = window;
    result.scale = 0.4F;
    return result;
  }

  base::Random random{7};
  Row<double> query = random_row(random, kRows* kHeads* kWidth);
  Row<double> key = random_row(random, kRows* kKeyHeads* kWidth);
  Row<double> value = random_row(random, kRows* kKeyHeads* kWidth);
  Row<double> dy = random_row(random, kRows* kHeads* kWidth);
};

TEST_F(PackedAttentionTest, IsTheReferenceForwardAndBackward) {
  for (const std::uint32_t window : {0U, 20U}) {
    Row<double> expected(query.size(), 0), dq(query.size(), 0), dk(key.size(), 0),
        dv(key.size(), 0);
    for (std::size_t span = 0; span < kSpans.size(); ++span) {
      for (std::size_t head = 0; head < kHeads; ++head) {
        const auto part = parts(span, head, window);
        const auto output = part.output();
        Rows<double> output_gradient;
        for (std::size_t r = 0; r < output.size(); ++r) {
          const std::size_t at = ((kSpans[span].first + r) * kHeads + head) * kWidth;
          std::copy(output[r].begin(), output[r].end(),
                    expected.begin() + static_cast<std::ptrdiff_t>(at));
          const auto begin = dy.begin() + static_cast<std::ptrdiff_t>(at);
          output_gradient.emplace_back(begin, begin + kWidth);
        }
        const auto gradient = part.gradient(output_gradient);
        for (std::size_t r = 0; r < output.size(); ++r)
          for (std::size_t d = 0; d < kWidth; ++d)
            dq[((kSpans[span].first + r) * kHeads + head) * kWidth + d] = gradient.query[r][d];
        for (std::size_t j = 0; j < gradient.key.size(); ++j) {
          const std::size_t row = j < part.first ? kSpans[kSpans[span].prefix].first + j
                                                 : kSpans[span].first + j - part.first;
          const std::size_t at = (row * kKeyHeads + head / (kHeads / kKeyHeads)) * kWidth;
          for (std::size_t d = 0; d < kWidth; ++d) {
            dk[at + d] += gradient.key[j][d];
            dv[at + d] += gradient.value[j][d];
          }
        }
      }
    }
    Row<double> first;
    for (const Isa isa : available_isas()) {
      CpuDevice device(pool_, isa);
      const Slice q = slice(query, kHeads * kWidth), k = slice(key, kKeyHeads * kWidth),
                  v = slice(value, kKeyHeads * kWidth), y = zeros(kRows, kHeads * kWidth);
      device.run(PackedAttention{q, k, v, y, kSpans, kHeads, kWidth, 0.4F, window});
      expect_near(values(y), expected, 1e-5);
      const Slice qg = zeros(kRows, kHeads * kWidth), kg = slice(key, kKeyHeads * kWidth),
                  vg = slice(key, kKeyHeads * kWidth);  // what stands there is overwritten
      device.run(PackedAttentionBackward{q, k, v, slice(dy, kHeads * kWidth), qg, kg, vg, kSpans,
                                         kHeads, kWidth, 0.4F, window});
      expect_near(values(qg), dq, 1e-5);
      expect_near(values(kg), dk, 1e-5);
      expect_near(values(vg), dv, 1e-5);
      if (first.empty()) first = values(kg);
      EXPECT_EQ(values(kg), first) << name(isa);
    }
  }
}

// --- experts ---

TEST_F(GradientOperations, ExpertsGiveBackWhatTheirWeightsSay) {
  base::Random random(8);
  const std::size_t experts = 5, used = 2, tokens = 4;
  const auto scores = random_row(random, tokens * experts);
  const auto dw = random_row(random, tokens * used);
  std::vector<ExpertChoice> choices(tokens * used);
  device_.run(ChooseExperts{slice(scores, experts), used, choices});
  const Slice gradient = zeros(tokens, experts);
  const auto dw_floats = floats(dw);
  device_.run(ChooseExpertsBackward{used, choices, dw_floats, gradient});
  // The weights by the definition, for scores near enough to choose the same experts.
  expect_near(values(gradient),
              numerical(scores,
                        [&](const Row<double>& at) {
                          double sum = 0;
                          for (std::size_t i = 0; i < choices.size(); ++i) {
                            const std::size_t row = i / used;
                            double normaliser = 0;
                            for (std::size_t c = row * used; c < (row + 1) * used; ++c)
                              normaliser += std::exp(at[row * experts + choices[c].expert]);
                            sum += dw[i] * std::exp(at[row * experts + choices[i].expert]) /
                                   normaliser;
                          }
                          return sum;
                        }),
              1e-6);
}

TEST_F(GradientOperations, WeightedRowsGiveBackToRowsAndWeights) {
  base::Random random(9);
  const std::vector<std::size_t> rows{4, 0, 2};
  const std::vector<float> weights{0.5F, 0.25F, -1};
  const auto given = random_row(random, 3 * 20);
  const auto dy = random_row(random, 5 * 20);
  const Slice gradient = zeros(3, 20);
  std::vector<float> dw(3);
  device_.run(
      AddWeightedRowsBackward{slice(given, 20), slice(dy, 20), gradient, rows, weights, dw});
  for (std::size_t i = 0; i < 3; ++i) {
    double expected = 0;
    for (std::size_t k = 0; k < 20; ++k) {
      expected += given[i * 20 + k] * dy[rows[i] * 20 + k];
      EXPECT_NEAR(host_floats(gradient)[i * 20 + k], double{weights[i]} * dy[rows[i] * 20 + k],
                  1e-6);
    }
    EXPECT_NEAR(dw[i], expected, 1e-5);
  }
}

}  // namespace
}  // namespace malina::math
