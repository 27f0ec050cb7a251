#include "engine/prefix_index.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/random.h"
#include "engine/test_pool.h"

namespace malina::engine {
namespace {

class PrefixIndexTest : public testing::Test {
 protected:
  // Begins with what the index has, as a task does, and computes the rest in one step.
  std::unique_ptr<model::Sequence> compute(PrefixIndex& index, const PrefixKey& key,
                                           const std::vector<Token>& tokens) {
    auto sequence = std::make_unique<model::Sequence>(pool_);
    sequence->start_from(index.find(key, tokens));
    while (sequence->length() < tokens.size()) sequence->extend();
    sequence->drop_outside_window();
    index.keep(key, tokens, *sequence);
    return sequence;
  }
  static std::vector<Token> text(Token first, std::size_t tokens) {
    std::vector<Token> result(tokens);
    std::iota(result.begin(), result.end(), first);
    return result;
  }
  std::size_t free_pages() const { return pool_.free_pages().kinds[0]; }

  base::ThreadPool threads_{1};
  math::CpuDevice device_{threads_};
  model::PagePool pool_{device_, sizes_of({0}), math::KvType::f16, 640};  // 20 pages
  const PrefixKey key_{"tenant", nullptr, false};
};

TEST_F(PrefixIndexTest, FindsTheLongestRunOfFullPages) {
  PrefixIndex index(pool_);
  auto tokens = text(0, 100);
  compute(index, key_, tokens);
  EXPECT_EQ(index.size(), 3u);
  EXPECT_EQ(index.find(key_, tokens).size(), 3u);
  EXPECT_EQ(index.find(key_, std::span(tokens).first(95)).size(), 2u);
  EXPECT_EQ(index.find(key_, std::span(tokens).first(31)).size(), 0u);
  tokens[64] = 9;
  EXPECT_EQ(index.find(key_, tokens).size(), 2u);
  tokens[0] = 9;  // the rest is the same, but not what stands before it
  EXPECT_EQ(index.find(key_, tokens).size(), 0u);
}

TEST_F(PrefixIndexTest, SharesPagesAndReturnsThem) {
  {
    PrefixIndex index(pool_);
    const auto first = compute(index, key_, text(0, 64));
    const auto second = compute(index, key_, text(0, 80));
    EXPECT_EQ(first->row(0).pages[1], second->row(0).pages[1]);
    EXPECT_EQ(free_pages(), 17u);
  }
  EXPECT_EQ(free_pages(), 20u);
}

TEST_F(PrefixIndexTest, NothingIsSharedBetweenScopesAdaptersAndContexts) {
  PrefixIndex index(pool_);
  const auto tokens = text(0, 64);
  const auto adapter = std::make_shared<const model::Adapter>("base");
  const auto other = std::make_shared<const model::Adapter>("base");
  const std::vector<PrefixKey> keys{{"a", nullptr, false},
                                    {"b", nullptr, false},
                                    {"a", adapter, false},
                                    {"a", other, false},
                                    {"a", nullptr, true}};
  for (const PrefixKey& key : keys) {
    EXPECT_EQ(index.find(key, tokens).size(), 0u);
    compute(index, key, tokens);
    EXPECT_EQ(index.find(key, tokens).size(), 2u);
  }
  EXPECT_EQ(index.size(), 2 * keys.size());
}

TEST_F(PrefixIndexTest, GivesUpTheLongestUnusedFirstFromTheEnd) {
  PrefixIndex index(pool_);
  const auto old = text(0, 128);
  const auto young = text(1000, 128);
  compute(index, key_, old);
  compute(index, key_, young);
  index.find(key_, std::span(old).first(64));  // its beginning is used again
  model::PageCounts needed;
  needed.kinds[0] = 12 + 3;
  EXPECT_TRUE(index.make_room(needed));
  EXPECT_EQ(index.find(key_, old).size(), 2u);
  EXPECT_EQ(index.find(key_, young).size(), 3u);
  needed.kinds[0] = 20;
  EXPECT_TRUE(index.make_room(needed));
  EXPECT_EQ(index.size(), 0u);
  EXPECT_EQ(free_pages(), 20u);
}

TEST_F(PrefixIndexTest, KeepsWhatWouldNotMakeRoom) {
  PrefixIndex index(pool_);
  const auto held = compute(index, key_, text(0, 320));
  compute(index, key_, text(1000, 128));
  model::PageCounts needed;
  needed.kinds[0] = 11;  // ten are held
  EXPECT_FALSE(index.make_room(needed));
  EXPECT_EQ(index.size(), 14u);
  needed.kinds[0] = 10;
  EXPECT_TRUE(index.make_room(needed));
  EXPECT_EQ(index.find(key_, text(0, 320)).size(), 10u);
}

TEST_F(PrefixIndexTest, ReachesWhatStandsBeforeWhatIsHeld) {
  model::PagePool pool(device_, sizes_of({0, 32}), math::KvType::f16, 640);
  PrefixIndex index(pool);
  const auto tokens = text(0, 128);
  model::Sequence sequence(pool);
  while (sequence.length() < tokens.size()) {  // page by page: all pages of the window are kept
    for (int i = 0; i < 32; ++i) sequence.extend();
    index.keep(key_, tokens, sequence);
    sequence.drop_outside_window();
  }
  EXPECT_EQ(pool.idle_pages().kinds[1], 3u);
  model::PageCounts needed;
  needed.kinds[1] = 19;  // all but the one that the sequence holds
  EXPECT_TRUE(index.make_room(needed));
}

TEST_F(PrefixIndexTest, APrefixEndsWhereAllIsThereThatTheNextPositionSees) {
  model::PagePool pool(device_, sizes_of({0, 8}), math::KvType::f16, 640);
  PrefixIndex index(pool);
  const auto tokens = text(0, 128);
  model::Sequence sequence(pool);
  while (sequence.length() < 96) sequence.extend();
  sequence.drop_outside_window();  // position 96 sees from 89 on: pages 0 and 1 are gone
  index.keep(key_, std::span(tokens).first(96), sequence);
  EXPECT_EQ(index.find(key_, tokens).size(), 3u);
  EXPECT_EQ(index.find(key_, std::span(tokens).first(95)).size(), 0u);
  // Another that computes them fills the gap.
  model::Sequence other(pool);
  while (other.length() < 64) other.extend();
  other.drop_outside_window();
  index.keep(key_, std::span(tokens).first(64), other);
  EXPECT_EQ(index.find(key_, std::span(tokens).first(95)).size(), 2u);
  EXPECT_EQ(index.size(), 3u);
}

// Random prompts of few different pages, random ends: references add up and what is found is right.
TEST_F(PrefixIndexTest, RandomUseLeaksNothing) {
  base::Random random(11);
  std::map<model::PagePool::Page, std::vector<Token>> written;  // what each page was computed from
  {
    PrefixIndex index(pool_);
    std::vector<std::unique_ptr<model::Sequence>> held;
    for (int round = 0; round < 5000; ++round) {
      if (held.size() > 3 || random.below(3) == 0) held.clear();
      std::vector<Token> tokens;
      for (std::size_t pages = 1 + random.below(3); pages > 0; --pages)
        tokens.insert(tokens.end(), 32, static_cast<Token>(random.below(3)));
      const PrefixKey key{random.below(2) == 0 ? "a" : "b", nullptr, false};
      const auto found = index.find(key, tokens);
      for (std::size_t i = 0; i < found.size(); ++i) {
        auto expected = std::vector<Token>(
            tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(32 * (i + 1)));
        expected.push_back(key.scope == "a" ? -1 : -2);
        ASSERT_EQ(written.at(*found[i][0]), expected);
      }
      auto sequence = std::make_unique<model::Sequence>(pool_);
      sequence->start_from(found);
      ASSERT_TRUE(index.make_room(sequence->pages_needed(tokens.size() - sequence->length())));
      while (sequence->length() < tokens.size()) sequence->extend();
      for (std::size_t i = found.size(); i < tokens.size() / 32; ++i) {
        auto content = std::vector<Token>(
            tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(32 * (i + 1)));
        content.push_back(key.scope == "a" ? -1 : -2);
        written[*sequence->pages_at(static_cast<std::uint32_t>(i))[0]] = content;
      }
      index.keep(key, tokens, *sequence);
      held.push_back(std::move(sequence));
    }
  }
  EXPECT_EQ(free_pages(), 20u);
  EXPECT_EQ(pool_.idle_pages().total(), 0u);
}

}  // namespace
}  // namespace malina::engine
