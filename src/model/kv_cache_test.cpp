#include "model/kv_cache.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace malina::model {
namespace {

Sizes small_sizes() {
  Sizes sizes;
  sizes.layers = 2;
  sizes.heads = 2;
  sizes.kv_heads = 1;
  sizes.head_width = 32;
  return sizes;
}

class KvCache : public testing::Test {
 protected:
  base::ThreadPool threads_{1};
  math::CpuDevice device_{threads_};
  PagePool pool_{device_, small_sizes(), math::KvType::f16, 320};
};

TEST_F(KvCache, ReturnsEveryPage) {
  {
    Sequence sequence(pool_);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(sequence.extend(), static_cast<std::uint32_t>(i));
    EXPECT_EQ(pool_.free_pages(), 10u - 4u);
    Sequence moved = std::move(sequence);
    EXPECT_EQ(moved.length(), 100u);
    moved.truncate(32);
    EXPECT_EQ(pool_.free_pages(), 9u);
  }
  EXPECT_EQ(pool_.free_pages(), 10u);
}

TEST_F(KvCache, ForksShareUntilOneWrites) {
  Sequence first(pool_);
  for (int i = 0; i < 40; ++i) first.extend();
  Sequence second = first.fork();
  EXPECT_EQ(pool_.free_pages(), 8u);
  EXPECT_EQ(second.pages_needed(1), 1u);
  EXPECT_EQ(first.row(39).pages[1], second.row(39).pages[1]);
  second.extend();
  EXPECT_EQ(pool_.free_pages(), 7u);
  EXPECT_EQ(first.row(0).pages[0], second.row(0).pages[0]);
  EXPECT_NE(first.row(39).pages[1], second.row(39).pages[1]);
  EXPECT_EQ(first.pages_needed(1), 0u);  // it is the only owner again
}

TEST_F(KvCache, WindowKeepsOnlyWhatCanBeSeen) {
  Sequence sequence(pool_, 40);
  for (int i = 0; i < 1000; ++i) {
    sequence.extend();
    sequence.drop_outside_window();
    EXPECT_LE(sequence.page_count() * math::kPagePositions, 40 + 2 * math::kPagePositions);
    // The next position sees back to length - 39, which must still be there.
    const std::uint32_t oldest = sequence.length() > 39 ? sequence.length() - 39 : 0;
    EXPECT_LE(sequence.row(0).first_page * math::kPagePositions, oldest);
  }
}

TEST_F(KvCache, SaysWhenItIsFull) {
  Sequence sequence(pool_);
  for (int i = 0; i < 320; ++i) sequence.extend();
  EXPECT_EQ(sequence.pages_needed(1), 1u);
  EXPECT_THROW(sequence.extend(), base::Error);
  EXPECT_EQ(sequence.length(), 320u);
}

TEST_F(KvCache, RefusesEightBitsForNarrowHeads) {
  Sizes sizes = small_sizes();
  sizes.head_width = 16;
  EXPECT_THROW(PagePool(device_, sizes, math::KvType::q8_0, 64), base::Error);
}

}  // namespace
}  // namespace malina::model
