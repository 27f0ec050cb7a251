#include "model/kv_cache.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace malina::model {
namespace {

// Layers of the given windows, two of each.
Sizes small_sizes(const std::vector<std::uint32_t>& windows = {0}) {
  Sizes sizes;
  sizes.heads = 2;
  sizes.kv_heads = 1;
  sizes.head_width = 32;
  for (const std::uint32_t window : windows) {
    LayerKind& kind = sizes.kinds.emplace_back();
    kind.layers = 2;
    kind.window = window;
    for (std::size_t i = 0; i < 2; ++i) sizes.places.push_back({sizes.kinds.size() - 1, i});
  }
  sizes.layers = sizes.places.size();
  return sizes;
}

class KvCache : public testing::Test {
 protected:
  base::ThreadPool threads_{1};
  math::CpuDevice device_{threads_};
  std::size_t free_pages() const { return pool_.free_pages().kinds[0]; }

  PagePool pool_{device_, small_sizes(), math::KvType::f16, 320};
};

TEST_F(KvCache, ReturnsEveryPage) {
  {
    Sequence sequence(pool_);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(sequence.extend(), static_cast<std::uint32_t>(i));
    EXPECT_EQ(free_pages(), 10u - 4u);
    Sequence moved = std::move(sequence);
    EXPECT_EQ(moved.length(), 100u);
    moved.truncate(32);
    EXPECT_EQ(free_pages(), 9u);
  }
  EXPECT_EQ(free_pages(), 10u);
}

TEST_F(KvCache, ForksShareUntilOneWrites) {
  Sequence first(pool_);
  for (int i = 0; i < 40; ++i) first.extend();
  Sequence second = first.fork();
  EXPECT_EQ(free_pages(), 8u);
  EXPECT_EQ(second.pages_needed(1).kinds[0], 1u);
  EXPECT_EQ(first.row(39).pages[1], second.row(39).pages[1]);
  second.extend();
  EXPECT_EQ(free_pages(), 7u);
  EXPECT_EQ(first.row(0).pages[0], second.row(0).pages[0]);
  EXPECT_NE(first.row(39).pages[1], second.row(39).pages[1]);
  EXPECT_EQ(first.pages_needed(1).kinds[0], 0u);  // it is the only owner again
}

TEST_F(KvCache, WindowKeepsOnlyWhatCanBeSeen) {
  PagePool pool(device_, small_sizes({0, 40}), math::KvType::f16, 1280);
  Sequence sequence(pool);
  for (int i = 0; i < 1000; ++i) {
    sequence.extend();
    sequence.drop_outside_window();
    EXPECT_LE(sequence.page_count(1) * math::kPagePositions, 40 + 2 * math::kPagePositions);
    // The next position sees back to length - 39, which must still be there.
    const std::uint32_t oldest = sequence.length() > 39 ? sequence.length() - 39 : 0;
    EXPECT_LE(sequence.row(0, 1).first_page * math::kPagePositions, oldest);
  }
  // The layers without a window have everything.
  EXPECT_EQ(sequence.page_count(0), 32u);
  EXPECT_EQ(sequence.row(0, 0).first_page, 0u);
  const Sequence fork = sequence.fork();
  EXPECT_EQ(sequence.pages_needed(1).kinds, (std::array<std::size_t, 2>{1, 1}));
  EXPECT_EQ(sequence.pages_needed(25).kinds, (std::array<std::size_t, 2>{2, 2}));
  EXPECT_THROW(sequence.truncate(500), base::Error);  // the windowed layers have forgotten it
  EXPECT_EQ(sequence.length(), 1000u);
  EXPECT_THROW(sequence.truncate(990), base::Error);  // it would see from 951 on; 960 is there
  sequence.truncate(999);
  sequence.extend();
  EXPECT_NE(sequence.row(999, 0).pages[31], fork.row(999, 0).pages[31]);
}

TEST_F(KvCache, TakesNoMoreThanPlanned) {
  const Sizes sizes = small_sizes({0, 100});
  PagePool pool(device_, sizes, math::KvType::f32, 4096);
  const PageCounts planned = PagePool::pages_for(sizes, 2000, 64);
  EXPECT_EQ(planned.kinds, (std::array<std::size_t, 2>{63, 7}));
  Sequence sequence(pool);
  while (sequence.length() < 2000) {
    for (int i = 0; i < 64 && sequence.length() < 2000; ++i) sequence.extend();
    for (std::size_t kind = 0; kind < 2; ++kind)
      EXPECT_LE(sequence.page_count(kind), planned.kinds[kind]);
    sequence.drop_outside_window();
  }
  EXPECT_EQ(PagePool::bytes_for(sizes, math::KvType::f32, 2000, 64),
            (63u + 7u) * 2 * (2 * 32 * 32 * sizeof(float)));
}

TEST_F(KvCache, BeginsWithPagesOfAnother) {
  Sequence first(pool_);
  for (int i = 0; i < 70; ++i) first.extend();
  const std::vector<PageSet> pages{first.pages_at(0), first.pages_at(1)};
  EXPECT_FALSE(first.pages_at(3)[0]);
  Sequence second(pool_);
  second.start_from(pages);
  EXPECT_EQ(second.length(), 64u);
  EXPECT_EQ(free_pages(), 7u);
  EXPECT_EQ(second.row(63).pages[1], first.row(63).pages[1]);
  EXPECT_EQ(second.extend(), 64u);
  EXPECT_EQ(free_pages(), 6u);
  EXPECT_THROW(second.start_from(pages), base::Error);  // it is not empty any more
  second.clear();
  first.clear();
  EXPECT_EQ(free_pages(), 10u);
}

TEST_F(KvCache, BeginsWithWhatAWindowStillSees) {
  PagePool pool(device_, small_sizes({0, 40}), math::KvType::f16, 1280);
  Sequence first(pool);
  std::vector<PageSet> pages;
  for (int i = 0; i < 128; ++i) {
    first.extend();
    first.drop_outside_window();
  }
  for (std::uint32_t i = 0; i < 4; ++i) pages.push_back(first.pages_at(i));
  EXPECT_FALSE(pages[1][1]);  // the window has passed it
  Sequence second(pool);
  second.start_from(pages);
  EXPECT_EQ(second.row(127, 1).first_page, 2u);  // position 128 sees from 89 on
  EXPECT_EQ(second.extend(), 128u);
  second.drop_outside_window();
  Sequence third(pool);
  // Position 96 sees from 57 on, which is in a page that is not there.
  EXPECT_THROW(third.start_from(std::span(pages).first(3)), base::Error);
  EXPECT_EQ(third.page_count(0), 0u);
}

TEST_F(KvCache, AWindowOfOneBeginsWithoutItsPages) {
  PagePool pool(device_, small_sizes({1}), math::KvType::f16, 1280);
  Sequence sequence(pool);
  sequence.start_from(std::vector<PageSet>(2));
  EXPECT_EQ(sequence.extend(), 64u);
  EXPECT_EQ(sequence.row(64).first_page, 2u);
}

TEST_F(KvCache, WhatMayBeTruncatedKeepsItsWindow) {
  PagePool pool(device_, small_sizes({40}), math::KvType::f16, 1280);
  Sequence sequence(pool);
  for (int i = 0; i < 72; ++i) sequence.extend();
  sequence.revocable = 4;  // position 68 sees from 29 on: page 0
  sequence.drop_outside_window();
  EXPECT_EQ(sequence.row(71).first_page, 0u);
  sequence.truncate(68);
  sequence.revocable = 0;
  sequence.drop_outside_window();
  EXPECT_EQ(sequence.row(67).first_page, 0u);
  for (int i = 0; i < 4; ++i) sequence.extend();
  sequence.drop_outside_window();  // position 72 sees from 33 on
  EXPECT_EQ(sequence.row(71).first_page, 1u);
}

TEST_F(KvCache, CountsWhatIsKeptAndHeldByNobodyElse) {
  auto sequence = std::make_unique<Sequence>(pool_);
  for (int i = 0; i < 40; ++i) sequence->extend();
  const PagePool::Page page = *sequence->pages_at(0)[0];
  pool_.keep(0, page);
  EXPECT_THROW(pool_.keep(0, page), base::Error);
  EXPECT_EQ(pool_.idle_pages().total(), 0u);
  sequence.reset();
  EXPECT_EQ(pool_.idle_pages().total(), 1u);
  EXPECT_EQ(free_pages(), 9u);
  Sequence other(pool_);
  other.start_from(std::vector<PageSet>{{page}});
  EXPECT_EQ(pool_.idle_pages().total(), 0u);
  pool_.forget(0, page);
  EXPECT_EQ(free_pages(), 9u);
  other.clear();
  EXPECT_EQ(free_pages(), 10u);
  EXPECT_EQ(pool_.idle_pages().total(), 0u);
}

TEST_F(KvCache, SaysWhenItIsFull) {
  Sequence sequence(pool_);
  for (int i = 0; i < 320; ++i) sequence.extend();
  EXPECT_EQ(sequence.pages_needed(1).kinds[0], 1u);
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
