#include "platform/model_pool.h"

#include <gtest/gtest.h>

#include <future>

#include "base/error.h"
#include "base/temporary_directory.h"

namespace malina::platform {
namespace {

class ModelPoolTest : public testing::Test {
 protected:
  static PoolOptions options() {
    PoolOptions options;
    options.memory_bytes = 1 << 20;
    options.run.most_waiting = 2;
    return options;
  }

  Processor processor_{1};
  ModelPool pool_{processor_, options()};
};

TEST_F(ModelPoolTest, AsManyWaitAsMayAndNoMore) {
  auto first = pool_.wait([] {});
  const auto second = pool_.wait([] {});
  try {
    pool_.wait([] {});
    ADD_FAILURE() << "a third waits";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::overloaded);
    EXPECT_TRUE(error.details().retry_after.has_value());
  }
  first.reset();
  EXPECT_NO_THROW(pool_.wait([] {}));
}

TEST_F(ModelPoolTest, WhoWaitsIsToldWhenAModelCannotBeLoaded) {
  const base::TemporaryDirectory folder;
  ResolvedModel model;
  model.label = "none";
  model.file = folder.path() / "none.gguf";
  std::promise<void> told;
  const auto waiting = pool_.wait([&] { told.set_value(); });
  EXPECT_FALSE(pool_.acquire(model).has_value());
  told.get_future().get();
  EXPECT_THROW(pool_.acquire(model), base::Error);
}

TEST_F(ModelPoolTest, WhatOthersReserveIsOfTheSameMemory) {
  EXPECT_TRUE(pool_.reserve(1 << 19));
  EXPECT_FALSE(pool_.reserve((1 << 19) + 1));
  EXPECT_TRUE(pool_.reserve(1 << 19));
  pool_.give_back(1 << 20);
  EXPECT_TRUE(pool_.reserve(1 << 20));
}

TEST_F(ModelPoolTest, WhatIsReservedAndUnusedGivesWay) {
  ASSERT_TRUE(pool_.reserve(1 << 20));
  int unused = 1;
  pool_.set_reclaim([&] {
    if (unused == 0) return false;
    --unused;
    pool_.give_back(1 << 19);
    return true;
  });
  EXPECT_TRUE(pool_.reserve(1 << 18));
  EXPECT_EQ(unused, 0);
  EXPECT_FALSE(pool_.reserve(1 << 20));
  pool_.set_reclaim({});
}

}  // namespace
}  // namespace malina::platform
