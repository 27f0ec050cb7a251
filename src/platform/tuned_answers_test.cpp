// Tuned classifiers behind their own thread: one of words alone, which needs no model.
#include "platform/tuned_answers.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/temporary_directory.h"
#include "platform/tuning.h"

namespace malina::platform {
namespace {

using namespace std::chrono_literals;

class TunedAnswersTest : public testing::Test {
 protected:
  static PoolOptions options() {
    PoolOptions options;
    options.memory_bytes = 1 << 28;
    return options;
  }

  TunedRecord tuned(const std::string& first, const std::string& second) {
    const auto data = folder_.path() / "train.csv";
    std::ofstream file(data);
    file << "text,label\n";
    for (int i = 0; i < 60; ++i)
      file << "order " << i << " of " << (i % 2 == 0 ? first : second) << "," << "ab"[i % 2]
           << "\n";
    file.close();
    TuneRequest request;
    request.suffix = "topics";
    request.replace = true;
    request.tuning.training = {data};
    request.tuning.method = tune::Method::linear;
    const TunedClassifiers classifiers(folder_.path());
    const auto outcome = run_tuning(request, nullptr, nullptr, processor_, classifiers, {}, {});
    return tuned_record(outcome.directory, outcome.name);
  }

  std::string answer(const TunedRecord& record, const std::string& text) {
    const auto answer = answers_.ask(record, text, std::chrono::steady_clock::now() + 60s);
    while (!answer->wait_for(1s)) {
    }
    answer->poll();
    return answer->decisions().at(0).answer;
  }

  base::TemporaryDirectory folder_;
  Processor processor_{1};
  ModelPool pool_{processor_, options()};
  TunedAnswers answers_{processor_, pool_, {}};
};

// A request is audited with the digest of its record: nothing else may answer it.
TEST_F(TunedAnswersTest, WhatWasTunedAnewDoesNotAnswerForTheOldOne) {
  const TunedRecord old = tuned("apples", "pears");
  EXPECT_EQ(answer(old, "order 3 of pears"), "b");
  const TunedRecord record = tuned("pears", "apples");
  ASSERT_NE(record.digest, old.digest);
  EXPECT_EQ(answer(old, "order 3 of pears"), "b");  // it is still loaded
  EXPECT_EQ(answer(record, "order 3 of pears"), "a");
  TunedRecord late = record;
  late.digest = "sha256:" + std::string(64, '0');  // read before it was replaced, and not loaded
  try {
    answer(late, "order 3 of pears");
    ADD_FAILURE() << "another one answers";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::overloaded);
    EXPECT_TRUE(error.details().retry_after.has_value());
  }
}

}  // namespace
}  // namespace malina::platform
