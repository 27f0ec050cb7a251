// The writers that search for their scales, by what they promise; the layout of their blocks is
// held by reading them back.
#include "math/block_search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "math/encoding.h"

namespace malina::math {
namespace {

// Of normally distributed values: the root mean square of the difference, relative. llama.cpp's own
// quantiser (plain mode, the same 524,288 values) has 0.2959, 0.1507, 0.0712, 0.0360, 0.01775,
// 0.0426, 0.0378.
struct Writer {
  std::string name;
  double error;
};
const Writer kWriters[] = {{"q2_k", 0.268},  {"q3_k", 0.146},  {"q4_k", 0.0708}, {"q5_k", 0.0352},
                           {"q6_k", 0.0175}, {"q5_0", 0.0408}, {"q5_1", 0.0340}};

void PrintTo(const Writer& writer, std::ostream* output) { *output << writer.name; }

constexpr std::size_t kColumns = 1280;  // of 256: an odd number of blocks

std::vector<float> normal_values(std::size_t count, float deviation = 0.02F, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

class Search : public testing::TestWithParam<Writer> {
 protected:
  const Encoding& encoding() const { return *find_encoding(GetParam().name); }
  std::vector<std::byte> encode(const std::vector<float>& row,
                                const std::vector<float>& importance = {}) const {
    std::vector<std::byte> bytes(encoding().row_bytes(row.size()));
    encoding().encode(row.data(), row.size(), importance.empty() ? nullptr : importance.data(),
                      bytes.data());
    return bytes;
  }
  std::vector<float> decode(const std::vector<std::byte>& bytes) const {
    std::vector<float> values(bytes.size() / encoding().block_bytes * encoding().block_values);
    encoding().decode(bytes.data(), values.size(), values.data());
    return values;
  }
  std::vector<float> round_trip(const std::vector<float>& row) const { return decode(encode(row)); }
};

// Weighted by column where weights are given.
double error(const std::vector<float>& found, const std::vector<float>& expected,
             const std::vector<float>& weights = {}) {
  double difference = 0, square = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double weight = weights.empty() ? 1 : weights[i];
    difference += weight * (found[i] - expected[i]) * (found[i] - expected[i]);
    square += weight * expected[i] * expected[i];
  }
  return std::sqrt(difference / square);
}

double greatest_difference(const std::vector<float>& found, const std::vector<float>& expected) {
  double greatest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::fabs(double{found[i]} - expected[i]);
    if (!(difference <= greatest)) greatest = difference;  // also a NaN
  }
  return greatest;
}

TEST_P(Search, NormalValuesAreWithinTheErrorOfTheEncoding) {
  const std::vector<float> row = normal_values(51200);
  EXPECT_LT(error(round_trip(row), row), GetParam().error);
}

TEST_P(Search, ImportantColumnsAreNearerThanWithoutImportance) {
  const std::vector<float> row = normal_values(kColumns);
  std::vector<float> importance = normal_values(kColumns, 1.5F, 2);
  for (float& value : importance) value = std::exp(value);
  const double plain = error(round_trip(row), row, importance);
  EXPECT_LT(error(decode(encode(row, importance)), row, importance), 0.95 * plain);
}

TEST_P(Search, TheUnitOfImportanceDoesNotMatter) {
  const std::vector<float> row = normal_values(kColumns);
  std::vector<float> importance = normal_values(kColumns, 1, 3), other;
  for (float& value : importance) {
    value = value * value;
    other.push_back(value * 4096);
  }
  EXPECT_EQ(encode(row, importance), encode(row, other));
}

TEST_P(Search, ColumnsThatNothingReachesAreWrittenAllTheSame) {
  const std::vector<float> row = normal_values(kColumns);
  EXPECT_LT(error(decode(encode(row, std::vector<float>(kColumns, 0))), row),
            1.2 * GetParam().error);
}

TEST_P(Search, ImportanceMayBeTinyOrHuge) {
  const std::vector<float> row = normal_values(kColumns);
  for (const float unit : {1e-44F, 1e-30F, 1e30F, 1e38F})
    EXPECT_LT(error(decode(encode(row, std::vector<float>(kColumns, unit))), row),
              1.2 * GetParam().error)
        << unit;
}

TEST_P(Search, ABlockDoesNotDependOnItsNeighbours) {
  const std::vector<float> row = normal_values(kColumns);
  const std::vector<std::byte> whole = encode(row);
  std::vector<std::byte> pieces;
  const std::size_t values = encoding().block_values;
  for (std::size_t i = 0; i < kColumns; i += values) {
    const auto piece = encode({row.begin() + static_cast<std::ptrdiff_t>(i),
                               row.begin() + static_cast<std::ptrdiff_t>(i + values)});
    pieces.insert(pieces.end(), piece.begin(), piece.end());
  }
  EXPECT_EQ(whole, pieces);
}

TEST_P(Search, WhatWasWrittenOnceIsHardlyMovedAgain) {
  const std::vector<float> row = normal_values(kColumns * 8);
  const std::vector<float> once = round_trip(row);
  EXPECT_LT(error(round_trip(once), once), 0.3 * GetParam().error);
}

TEST_P(Search, ZerosStayZeros) {
  for (const float zero : {0.0F, -0.0F})
    EXPECT_EQ(greatest_difference(round_trip(std::vector<float>(kColumns, zero)),
                                  std::vector<float>(kColumns, 0)),
              0);
}

TEST_P(Search, ABlockOfZerosAmongOthers) {
  std::vector<float> row = normal_values(kColumns);
  for (std::size_t i = 256; i < 512; ++i) row[i] = 0;
  const std::vector<float> found = round_trip(row);
  for (std::size_t i = 256; i < 512; ++i) EXPECT_EQ(found[i], 0) << i;
}

TEST_P(Search, ConstantsAreKept) {
  for (const float constant : {1.0F, -1.0F, 0.013F, -0.013F, 60000.0F, -60000.0F}) {
    const std::vector<float> row(kColumns, constant);
    // Q6_K's step for 0.013 is a number below 6e-5, where half precision has few digits.
    EXPECT_LT(error(round_trip(row), row), 0.006) << constant;
  }
}

TEST_P(Search, OneLargeValueIsKept) {
  std::vector<float> row(kColumns, 0);
  row[300] = -3.5F;
  EXPECT_LT(error(round_trip(row), row), 0.002);
}

// Scales in half precision end at 6e-8.
TEST_P(Search, NumbersBelowTheSmallestScaleBecomeSmall) {
  for (const float unit : {1e-45F, 1e-40F, 1e-30F, 1e-20F, 1e-9F}) {
    const std::vector<float> row = normal_values(kColumns, unit);
    EXPECT_LT(greatest_difference(round_trip(row), row), 1e-6) << unit;
  }
}

TEST_P(Search, TheGreatestNumbersStayFinite) {
  std::vector<float> row(kColumns);
  for (std::size_t i = 0; i < kColumns; ++i) row[i] = i % 3 == 0 ? 65504.0F : -65504.0F;
  const std::vector<float> importance(kColumns, 1e6F);
  EXPECT_LT(error(round_trip(row), row), 0.2);
  EXPECT_LT(error(decode(encode(row, importance)), row), 0.2);
}

INSTANTIATE_TEST_SUITE_P(, Search, testing::ValuesIn(kWriters),
                         [](const auto& parameter) { return parameter.param.name; });

TEST(BlockSearch, HasTheSameBitsOnEveryInstructionSet) {
  const SearchShape shapes[] = {
      {.block_values = 32, .sub_values = 32, .codes = {-16, 15}},
      {.block_values = 32, .sub_values = 32, .codes = {0, 31}, .has_minimum = true},
      {.block_values = 256, .sub_values = 16, .codes = {-4, 3}, .scales = {-32, 31}},
      {.block_values = 256,
       .sub_values = 16,
       .codes = {0, 3},
       .scales = {0, 15},
       .has_minimum = true},
      {.block_values = 256,
       .sub_values = 32,
       .codes = {0, 15},
       .scales = {0, 63},
       .has_minimum = true}};
  for (const SearchShape& shape : shapes) {
    BlockSearch baseline(shape, Isa::baseline);
    const std::vector<float> values = normal_values(baseline.batch_values());
    std::vector<float> importance = normal_values(values.size(), 1, 4);
    for (float& value : importance) value *= value;
    const std::size_t blocks = values.size() / shape.block_values;
    std::vector<FoundBlock> expected(blocks), found(blocks);
    baseline.run(values.data(), importance.data(), 1, values.size(), expected.data());
    for (const Isa isa : available_isas()) {
      BlockSearch search(shape, isa);
      search.run(values.data(), importance.data(), 1, values.size(), found.data());
      for (std::size_t b = 0; b < blocks; ++b) {
        EXPECT_EQ(found[b].scale, expected[b].scale) << name(isa);
        EXPECT_EQ(found[b].minimum, expected[b].minimum) << name(isa);
        EXPECT_EQ(found[b].scales, expected[b].scales) << name(isa);
        EXPECT_EQ(found[b].minimums, expected[b].minimums) << name(isa);
        EXPECT_EQ(found[b].codes, expected[b].codes) << name(isa);
      }
    }
  }
}

}  // namespace
}  // namespace malina::math
