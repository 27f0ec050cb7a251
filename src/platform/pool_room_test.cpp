#include "platform/pool_room.h"

#include <gtest/gtest.h>

namespace malina::platform {

namespace {

using std::chrono::seconds;

class PoolRoom : public testing::Test {
 protected:
  // Ready, leased before, and unused for so long.
  PoolEntry& add(const std::string& key, seconds unused) {
    auto entry = std::make_shared<PoolEntry>();
    entry->state = ModelState::ready;
    entry->leased = true;
    entry->keep_alive = seconds(300);
    entry->last_used = now_ - unused;
    entries_[key] = entry;
    return *entry;
  }
  PooledAdapter& add_adapter(PoolEntry& entry, const std::string& digest, seconds unused) {
    auto adapter = std::make_shared<PooledAdapter>();
    adapter->last_used = now_ - unused;
    entry.adapters[digest] = adapter;
    return *adapter;
  }
  std::string adapter(seconds idle) {
    const auto found = adapter_to_give_up(entries_, now_, idle);
    return found ? found->digest : "";
  }

  const PoolTime now_ = std::chrono::steady_clock::now();
  PoolEntries entries_;
};

TEST_F(PoolRoom, CountsModelsAndAdapters) {
  PoolEntry& entry = add("a", seconds(1));
  entry.reserved_bytes = 100;
  add_adapter(entry, "x", seconds(1)).bytes = 20;
  add("b", seconds(1)).reserved_bytes = 3;
  EXPECT_EQ(used_bytes(entries_), 123U);
}

TEST_F(PoolRoom, TheLongestUnusedModelGoes) {
  add("a", seconds(10));
  PoolEntry& oldest = add("b", seconds(30));
  add("c", seconds(20));
  EXPECT_EQ(model_to_give_up(entries_, now_).get(), &oldest);
}

TEST_F(PoolRoom, WhatIsInUseOrNotReadyDoesNotGo) {
  add("a", seconds(10)).users = 1;
  add("b", seconds(10)).state = ModelState::loading;
  add("c", seconds(10)).state = ModelState::draining;
  EXPECT_EQ(model_to_give_up(entries_, now_), nullptr);
}

TEST_F(PoolRoom, WhoWaitedForAModelGetsIt) {
  PoolEntry& fresh = add("a", seconds(1));
  fresh.leased = false;
  EXPECT_EQ(model_to_give_up(entries_, now_), nullptr);
  fresh.last_used = now_ - seconds(3);
  EXPECT_EQ(model_to_give_up(entries_, now_).get(), &fresh);
}

TEST_F(PoolRoom, AnUnusedModelGoesInItsTime) {
  PoolEntry& entry = add("a", seconds(300));
  EXPECT_TRUE(is_to_go(entry, now_));
  EXPECT_FALSE(is_to_go(entry, now_ - seconds(1)));
  entry.users = 1;
  EXPECT_FALSE(is_to_go(entry, now_));
  entry.users = 0;
  entry.keep_alive = seconds(-1);  // for ever
  EXPECT_FALSE(is_to_go(entry, now_ + seconds(1'000'000)));
  entry.state = ModelState::draining;
  EXPECT_TRUE(is_to_go(entry, now_));
}

TEST_F(PoolRoom, TheLongestUnusedAdapterGoes) {
  add_adapter(add("a", seconds(1)), "x", seconds(10));
  PoolEntry& entry = add("b", seconds(1));
  add_adapter(entry, "y", seconds(40));
  add_adapter(entry, "z", seconds(50)).users = 1;
  add_adapter(entry, "w", seconds(60)).base = entries_["b"];  // is loading
  EXPECT_EQ(adapter(seconds(0)), "y");
  EXPECT_EQ(adapter(seconds(40)), "y");
  EXPECT_EQ(adapter(seconds(41)), "");
  entry.adapters["w"]->base.reset();
}

TEST(PoolCache, OneContextIsWantedWithinHalfOfTheMemory) {
  const MemoryNeed need{.weights = 90, .cache = 400, .least_cache = 10, .activations = 10};
  EXPECT_EQ(wanted_cache(need, 4, 1000), 100U);
  EXPECT_EQ(wanted_cache(need, 1, 1000), 400U);
  EXPECT_EQ(wanted_cache(need, 1, 600), 200U);
  EXPECT_EQ(wanted_cache(need, 1, 150), 0U);
}

TEST(PoolCache, HalfOfWhatIsLeftIsForOthers) {
  const MemoryNeed need{.weights = 90, .cache = 400, .least_cache = 10, .activations = 10};
  EXPECT_EQ(granted_cache(need, 100, 1000), 400U);  // all that it can use
  EXPECT_EQ(granted_cache(need, 100, 500), 250U);
  EXPECT_EQ(granted_cache(need, 100, 150), 100U);  // what is wanted comes first
  EXPECT_EQ(granted_cache(need, 100, 60), 60U);
  EXPECT_EQ(granted_cache(need, 0, 12), 10U);  // never less than it can run with
}

}  // namespace

}  // namespace malina::platform
