#include "math/ops/attention_tiles.h"

#include <gtest/gtest.h>

#include "math/ops/attention_kernels.h"

namespace malina::math {
namespace {

constexpr std::uint32_t kPage = kPagePositions;

std::vector<std::size_t> counts(const std::vector<AttentionTile>& tiles) {
  std::vector<std::size_t> counts;
  for (const AttentionTile& tile : tiles) counts.push_back(tile.count);
  return counts;
}

struct Tables {
  std::vector<std::uint32_t> a{1, 2, 3, 4, 5, 6, 10}, b{1, 2, 3, 4, 5, 6, 11},
      c{1, 2, 3, 4, 5, 12, 13}, other{20, 21, 22, 23, 24, 25, 26};
};

TEST(AttentionTiles, ForksFillTilesTogether) {
  const Tables tables;
  const std::vector<KvRow> rows{{tables.a.data(), 0, 6 * kPage}, {tables.b.data(), 0, 6 * kPage}};
  const auto tiles = attention_tiles(rows, 1, 3);
  EXPECT_EQ(counts(tiles), (std::vector<std::size_t>{6}));
  EXPECT_EQ(tiles[0].shared_blocks, 6u);
}

TEST(AttentionTiles, WhatAllShareIsTheLeastThatTwoShare) {
  const Tables tables;
  const std::vector<KvRow> rows{{tables.a.data(), 0, 6 * kPage},
                                {tables.b.data(), 0, 6 * kPage},
                                {tables.c.data(), 0, 6 * kPage}};
  const auto tiles = attention_tiles(rows, 2, 2);
  EXPECT_EQ(counts(tiles), (std::vector<std::size_t>{6, 6}));  // a key head each
  EXPECT_EQ(tiles[0].shared_blocks, 5u);
}

TEST(AttentionTiles, OthersStandAlone) {
  const Tables tables;
  const std::vector<KvRow> rows{{tables.a.data(), 0, 6 * kPage},
                                {tables.other.data(), 0, 6 * kPage}};
  const auto tiles = attention_tiles(rows, 1, 3);
  EXPECT_EQ(counts(tiles), (std::vector<std::size_t>{3, 3}));
  EXPECT_EQ(tiles[0].shared_blocks, 0u);
  EXPECT_EQ(tiles[1].first_row, 1u);
}

// One that shares little would leave the others with as little.
TEST(AttentionTiles, ARowThatSharesLittleBeginsAnew) {
  std::vector<std::uint32_t> a(20, 1), b(20, 1), c(20, 1);
  b[19] = 2;
  c[5] = 3;
  const std::vector<KvRow> rows{
      {a.data(), 0, 19 * kPage}, {b.data(), 0, 19 * kPage}, {c.data(), 0, 19 * kPage}};
  const auto tiles = attention_tiles(rows, 1, 3);
  EXPECT_EQ(counts(tiles), (std::vector<std::size_t>{6, 3}));
  EXPECT_EQ(tiles[0].shared_blocks, 19u);
}

TEST(AttentionTiles, RowsOfOneSequenceShareNothingWithThemselves) {
  const Tables tables;
  std::vector<KvRow> rows;
  for (std::uint32_t i = 0; i < 5; ++i) rows.push_back({tables.a.data(), 0, 5 * kPage + i});
  const auto tiles = attention_tiles(rows, 1, 3);
  EXPECT_EQ(counts(tiles), (std::vector<std::size_t>{6, 6, 3}));
  for (const AttentionTile& tile : tiles) EXPECT_EQ(tile.shared_blocks, 0u);
}

TEST(AttentionTiles, CommonBlocksAreWholeAndBehindBothRows) {
  const Tables tables;
  const KvRow a{tables.a.data(), 0, 6 * kPage}, b{tables.b.data(), 0, 6 * kPage + 3};
  EXPECT_EQ(common_blocks(a, b), 6u);
  EXPECT_EQ(common_blocks(a, {tables.b.data(), 0, 3 * kPage + 31}), 3u);
  EXPECT_EQ(common_blocks(a, {tables.other.data(), 0, 6 * kPage}), 0u);
  EXPECT_EQ(common_blocks({tables.a.data(), 4, 10 * kPage}, {tables.b.data(), 4, 10 * kPage}), 10u);
  EXPECT_EQ(common_blocks({tables.a.data(), 4, 10 * kPage}, {tables.b.data(), 3, 9 * kPage}), 0u);
}

}  // namespace
}  // namespace malina::math
