// Gradients of weights: every reference loop against a numerical slope in double precision, every
// operation against its reference loop, on every instruction set and any number of threads.
#include "math/ops/weight_gradients.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "math/ops/reference_gradient.h"

namespace malina::math {
namespace {

using reference::Row;
using reference::Rows;

const double kEpsilon = 1e-2F;

Row<double> random_row(base::Random& random, std::size_t count) {
  Row<double> row(count);
  // Floats, so that a kernel is given the very same numbers.
  for (double& value : row) value = static_cast<float>(4 * random.uniform() - 2);
  return row;
}

Rows<double> random_rows(base::Random& random, std::size_t rows, std::size_t columns) {
  Rows<double> result;
  for (std::size_t i = 0; i < rows; ++i) result.push_back(random_row(random, columns));
  return result;
}

Row<double> flat(const Rows<double>& rows) {
  Row<double> result;
  for (const auto& row : rows) result.insert(result.end(), row.begin(), row.end());
  return result;
}

double dot(const Row<double>& a, const Row<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// By central differences of fourth order.
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

class WeightGradients : public ::testing::Test {
 protected:
  Slice slice(const Row<double>& values, std::size_t columns) {
    buffers_.push_back(device_.allocate(values.size() * sizeof(float)));
    const Slice result = float_slice(*buffers_.back(), 0, values.size() / columns, columns);
    for (std::size_t i = 0; i < values.size(); ++i)
      host_floats(result)[i] = static_cast<float>(values[i]);
    return result;
  }
  // A packed matrix of ones: it is added to.
  Slice packed_ones(std::size_t rows, std::size_t columns) {
    const Encoding& encoding = *find_encoding("f32");
    buffers_.push_back(device_.allocate(packed_bytes(rows, columns, encoding)));
    const Slice result = packed_slice(*buffers_.back(), 0, rows, columns, encoding);
    for (std::size_t n = 0; n < rows; ++n)
      for (std::size_t k = 0; k < columns; ++k) at(result, n, k) = 1;
    return result;
  }
  static float& at(const Slice& packed, std::size_t row, std::size_t column) {
    return host_floats(packed)[row / kGroupRows * kGroupRows * packed.columns +
                               column * kGroupRows + row % kGroupRows];
  }
  // Less the ones, by the encoding's own reading of a row.
  Row<double> added(const Slice& packed) {
    Row<double> result;
    std::vector<float> row(packed.columns);
    for (std::size_t n = 0; n < packed.rows; ++n) {
      packed.encoding->products[static_cast<std::size_t>(device_.context().isa)]->decode_row(
          packed_matrix(packed), n, row.data());
      for (const float value : row) result.push_back(double{value} - 1);
    }
    return result;
  }
  // Padding of the last 16 rows has to stay zero: it is trained with the rest.
  static void expect_no_padding(const Slice& packed) {
    const std::size_t rows = (packed.rows + kGroupRows - 1) / kGroupRows * kGroupRows;
    for (std::size_t n = packed.rows; n < rows; ++n)
      for (std::size_t k = 0; k < packed.columns; ++k) ASSERT_EQ(at(packed, n, k), 0);
  }

  base::ThreadPool pool_{2}, alone_{1};
  CpuDevice device_{pool_};
  std::vector<std::unique_ptr<Buffer>> buffers_;
};

TEST_F(WeightGradients, OfALinearLayerAreTheSlope) {
  base::Random random(1);
  for (const auto& [rows, outputs, inputs] : {std::array<std::size_t, 3>{1, 1, 1},
                                              {3, 5, 7},
                                              {40, 16, 32},
                                              {33, 50, 17},
                                              {130, 33, 400}}) {
    const auto x = random_rows(random, rows, inputs), dy = random_rows(random, rows, outputs);
    const auto expected = flat(reference::linear_weight_gradient<double>(x, dy));
    if (outputs * inputs < 100)
      expect_near(expected,
                  numerical(random_row(random, outputs * inputs),
                            [&](const Row<double>& weight) {
                              double sum = 0;
                              for (std::size_t i = 0; i < x.size(); ++i)
                                for (std::size_t n = 0; n < outputs; ++n)
                                  for (std::size_t k = 0; k < inputs; ++k)
                                    sum += dy[i][n] * weight[n * inputs + k] * x[i][k];
                              return sum;
                            }),
                  1e-6);
    Row<double> first;
    for (const Isa isa : available_isas()) {
      for (base::ThreadPool* pool : {&pool_, &alone_}) {
        CpuDevice device(*pool, isa);
        const Slice gradient = packed_ones(outputs, inputs);
        device.run(
            LinearWeightGradient{slice(flat(x), inputs), slice(flat(dy), outputs), gradient});
        expect_near(added(gradient), expected, 1e-5);
        expect_no_padding(gradient);
        if (first.empty()) first = added(gradient);
        EXPECT_EQ(added(gradient), first) << name(isa);
      }
    }
  }
}

using Norm = std::function<Row<double>(const Row<double>&)>;
using NormGradient = std::function<Row<double>(const Row<double>&, const Row<double>&)>;

template <class Operation>
void expect_norm(const Norm& norm, const NormGradient& gradient_of_row, base::ThreadPool& pool,
                 const std::function<Slice(const Row<double>&, std::size_t)>& slice) {
  base::Random random(2);
  for (const std::size_t width :
       {std::size_t{2}, std::size_t{7}, std::size_t{33}, std::size_t{576}}) {
    const auto x = random_rows(random, 5, width), dy = random_rows(random, 5, width);
    Row<double> expected(width, 0);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto row = gradient_of_row(x[i], dy[i]);
      for (std::size_t k = 0; k < width; ++k) expected[k] += row[k];
    }
    expect_near(expected,
                numerical(random_row(random, width),
                          [&](const Row<double>& weight) {
                            double sum = 0;
                            for (std::size_t i = 0; i < x.size(); ++i) {
                              auto y = norm(x[i]);
                              for (std::size_t k = 0; k < width; ++k) y[k] *= weight[k];
                              sum += dot(y, dy[i]);
                            }
                            return sum;
                          }),
                1e-6);
    Row<double> first;
    for (double& value : expected) value += 1;
    for (const Isa isa : available_isas()) {
      CpuDevice device(pool, isa);
      const Slice gradient = slice(Row<double>(width, 1), width);
      device.run(Operation{slice(flat(x), width), slice(flat(dy), width), gradient,
                           static_cast<float>(kEpsilon)});
      const Row<double> actual(host_floats(gradient), host_floats(gradient) + width);
      expect_near(actual, expected, 5e-6);
      if (first.empty()) first = actual;
      EXPECT_EQ(actual, first) << name(isa);
    }
  }
}

TEST_F(WeightGradients, OfRmsNormAreTheSlope) {
  expect_norm<RmsNormWeightGradient>(
      [](Row<double> x) {
        const double factor = 1 / std::sqrt(dot(x, x) / static_cast<double>(x.size()) + kEpsilon);
        for (double& value : x) value *= factor;
        return x;
      },
      [](const auto& x, const auto& dy) {
        return reference::rms_norm_weight_gradient<double>(x, kEpsilon, dy);
      },
      pool_,
      [&](const Row<double>& values, std::size_t columns) { return slice(values, columns); });
}

TEST_F(WeightGradients, OfLayerNormAreTheSlope) {
  expect_norm<LayerNormWeightGradient>(
      [](Row<double> x) {
        const auto n = static_cast<double>(x.size());
        double mean = 0, variance = 0;
        for (const double value : x) mean += value / n;
        for (const double value : x) variance += (value - mean) * (value - mean) / n;
        for (double& value : x) value = (value - mean) / std::sqrt(variance + kEpsilon);
        return x;
      },
      [](const auto& x, const auto& dy) {
        return reference::layer_norm_weight_gradient<double>(x, kEpsilon, dy);
      },
      pool_,
      [&](const Row<double>& values, std::size_t columns) { return slice(values, columns); });
}

TEST_F(WeightGradients, OfABiasAreTheSumOfRows) {
  base::Random random(3);
  const auto dy = random_rows(random, 9, 37);
  const Slice gradient = slice(Row<double>(37, 1), 37);
  device_.run(BiasGradient{slice(flat(dy), 37), gradient});
  const auto expected = numerical(Row<double>(37, 0.5), [&](const Row<double>& bias) {
    double sum = 0;
    for (const auto& row : dy) sum += dot(row, bias);
    return sum;
  });
  for (std::size_t k = 0; k < 37; ++k)
    EXPECT_NEAR(double{host_floats(gradient)[k]} - 1, expected[k], 1e-5);
}

TEST_F(WeightGradients, OfAnEmbeddingGoToTheTokensThatWereRead) {
  base::Random random(4);
  const std::size_t vocab = 37, width = 70;
  const std::vector<std::int32_t> tokens{3, 36, 3, 16, 0, 36};  // some of them twice
  const auto dy = random_rows(random, tokens.size(), width);
  Row<double> expected(vocab * width, 0);
  for (std::size_t i = 0; i < tokens.size(); ++i)
    for (std::size_t k = 0; k < width; ++k)
      expected[static_cast<std::size_t>(tokens[i]) * width + k] += 2.5 * dy[i][k];
  const Slice gradient = packed_ones(vocab, width);
  device_.run(EmbedRowsGradient{slice(flat(dy), width), gradient, tokens, 2.5F});
  expect_near(added(gradient), expected, 1e-6);
  expect_no_padding(gradient);
  const std::vector<std::int32_t> outside(tokens.size(), 37);
  EXPECT_THROW(device_.run(EmbedRowsGradient{slice(flat(dy), width), gradient, outside, 1}),
               base::Error);
}

}  // namespace
}  // namespace malina::math
