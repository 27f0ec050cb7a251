// What works on jobs, with work that the tests hold in their hands.
#include "platform/job_runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <map>
#include <set>

#include "base/error.h"
#include "base/temporary_directory.h"

namespace malina::platform {
namespace {

using namespace std::chrono_literals;

const Actor kAnna{"mk_anna", "bakery"};

class JobRunnerTest : public testing::Test {
 protected:
  void SetUp() override {
    DataFiles::Upload upload = files_.begin("train.csv");
    upload.write("text,label\na,b\n");
    file_ = files_.commit(upload, kAnna, kPurposeTuning, "");
    work_.check = [](const DataCheckRequest&, const ProgressSink&) { return DataReport{}; };
    work_.digest = [](const std::string&) { return "sha256:aa"; };
    work_.discard = [this](const std::string& name) {
      const std::scoped_lock lock(mutex_);
      discarded_.insert(name);
    };
    work_.tune = [this](const TuneRequest& request, const tune::TuningEvents& events) {
      return tune(request, events);
    };
  }
  // Trains in steps until it is told to stop, or may_end_.
  TuneOutcome tune(const TuneRequest& request, const tune::TuningEvents& events) {
    ++runs_;
    requests_.push_back(request);
    if (request.memory.take) request.memory.take(100);
    events.stage("linear baseline", 0, 1);
    for (std::uint64_t step = 1; !may_end_; ++step) {
      events.training.step({.step = step, .loss = 1, .positions = 10}, 1000);
      if (events.training.pause()) return {};
      std::this_thread::sleep_for(1ms);
    }
    tune::EpochReport epoch{.epoch = 1, .train_loss = 0.5, .loss = 0.4, .accuracy = 0.9};
    epoch.best = true, epoch.step = 7, epoch.steps = 9;
    events.training.epoch(epoch);
    TuneOutcome outcome;
    outcome.finished = true;
    outcome.name = request.model + ":" + request.suffix;
    return outcome;
  }
  TuningJob add_job(const std::string& id) {
    TuningJob job;
    job.id = id;
    job.model = job.asked_model = "tiny";
    job.model_digest = "aa";
    job.training_file = file_.id;
    job.result_name = "tiny:" + id;
    job.fingerprint = id;
    return records_.create(job, kAnna, "", [] {});
  }
  void start() {
    runner_ = std::make_unique<JobRunner>(
        records_, files_, work_,
        JobRunnerOptions{
            .threads = 1, .room = 1, .look = 10ms, .home = folder_.path(), .memory = memory_});
  }
  TuningJob wait(const std::string& id, JobStatus status) {
    const auto end = std::chrono::steady_clock::now() + 60s;
    for (;;) {
      const auto job = records_.find(id);
      if (job->status == status) return *job;
      if (std::chrono::steady_clock::now() > end) {
        ADD_FAILURE() << id << " is " << name(job->status);
        return *job;
      }
      std::this_thread::sleep_for(2ms);
    }
  }
  // Of which so much is left to jobs.
  static SharedMemory shared(std::uint64_t bytes, std::atomic<std::uint64_t>& left) {
    return {.bytes = bytes,
            .reserve =
                [&left](std::uint64_t asked) {
                  if (asked > left) return false;
                  left -= asked;
                  return true;
                },
            .give_back = [&left](std::uint64_t given) { left += given; }};
  }
  template <class Condition>
  static void wait_until(const Condition& holds) {
    const auto end = std::chrono::steady_clock::now() + 60s;
    while (!holds() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
  }
  void wait_for_runs(int runs) {
    wait_until([&] { return runs_ >= runs; });
  }
  void wait_for_end_or_full_disk(const std::string& id) {
    wait_until([&] {
      const auto job = records_.find(id);
      return job->status == JobStatus::succeeded || job->waits_for_room;
    });
  }

  base::TemporaryDirectory folder_;
  base::ManualClock clock_;
  govern::AuditChain chain_{clock_};
  std::unique_ptr<store::Database> database_ =
      store::open_sqlite(folder_.path() / "malina.db", store::Access::read_write);
  DataFiles files_{folder_.path(), *database_, chain_, 1 << 20};
  JobRecords records_{*database_, chain_};
  DataFile file_;
  JobWork work_;
  SharedMemory memory_;
  std::atomic<bool> may_end_ = false;
  std::atomic<int> runs_ = 0;
  std::vector<TuneRequest> requests_;  // of the trainer's thread
  std::mutex mutex_;
  std::map<std::string, base::Error> failures_;  // by suffix
  std::set<std::string> discarded_;
  std::unique_ptr<JobRunner> runner_;
};

TEST_F(JobRunnerTest, JobsAreDoneInTheOrderInWhichTheyCame) {
  may_end_ = true;
  for (const char* id : {"a", "b", "c"}) add_job(id);
  start();
  for (const char* id : {"a", "b", "c"}) {
    const TuningJob job = wait(id, JobStatus::succeeded);
    const auto checkpoint = records_.history().checkpoints(job.id, {}).items.at(0);
    EXPECT_EQ(checkpoint.model, std::string("tiny:") + id);
    EXPECT_EQ(checkpoint.metrics["full_valid_mean_token_accuracy"], 0.9);
    EXPECT_FALSE(job.result_file.empty());
  }
  runner_.reset();
  ASSERT_EQ(requests_.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(requests_[i].suffix, std::string(1, "abc"[i]));
    EXPECT_FALSE(requests_[i].replace);
  }
}

TEST_F(JobRunnerTest, AJobWaitsForMemoryAndGivesItBack) {
  std::atomic<std::uint64_t> left = 50;
  memory_ = shared(1000, left);
  add_job("a");
  start();
  wait_for_runs(1);
  const auto waits = [&] {
    const auto events = records_.history().events("a", {}).items;
    return std::ranges::count_if(events, [](const JobEvent& event) {
      return event.message.find("waits for 1 MiB of memory") != std::string::npos;
    });
  };
  wait_until([&] { return waits() > 0; });
  // Whoever pauses it need not wait.
  records_.pause(kAnna, "a", "");
  EXPECT_TRUE(runner_->interrupt("a"));
  while (runner_->interrupt("a")) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(records_.find("a")->status, JobStatus::paused);
  EXPECT_EQ(left, 50U);
  left = 150;
  records_.resume(kAnna, "a", "");
  runner_->wake();
  wait_for_runs(2);
  wait_until([&] { return left == 50U; });
  EXPECT_EQ(left, 50U);  // while it trains
  may_end_ = true;
  wait("a", JobStatus::succeeded);
  runner_.reset();
  EXPECT_EQ(left, 150U);
  EXPECT_EQ(waits(), 1);
  EXPECT_EQ(requests_.at(1).memory.most, 1000U);
}

TEST_F(JobRunnerTest, WhateverEndsAJobGivesItsMemoryBack) {
  std::atomic<std::uint64_t> left = 150;
  memory_ = shared(150, left);
  work_.tune = [&](const TuneRequest& request, const tune::TuningEvents&) -> TuneOutcome {
    request.memory.take(100);
    if (request.suffix == "fails") throw base::Error(base::Fault::io, "no such thing");
    ++runs_;
    request.memory.take(100);  // for which the first waits
    return {};
  };
  add_job("fails");
  add_job("waits");
  start();
  wait("fails", JobStatus::failed);
  wait_for_runs(1);
  records_.cancel(kAnna, "waits", "");
  EXPECT_TRUE(runner_->interrupt("waits"));
  while (runner_->interrupt("waits")) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(records_.find("waits")->status, JobStatus::cancelled);
  EXPECT_EQ(left, 150U);
  add_job("stays");
  runner_->wake();
  wait_for_runs(2);
  runner_.reset();  // the server stops while it waits
  EXPECT_EQ(records_.find("stays")->status, JobStatus::queued);
  EXPECT_EQ(left, 150U);
}

TEST_F(JobRunnerTest, APausedJobStopsAndGoesOn) {
  add_job("a");
  start();
  wait_for_runs(1);
  wait("a", JobStatus::running);
  records_.pause(kAnna, "a", "");
  EXPECT_TRUE(runner_->interrupt("a"));
  while (runner_->interrupt("a")) std::this_thread::sleep_for(1ms);  // until it has stopped
  EXPECT_EQ(records_.find("a")->status, JobStatus::paused);
  EXPECT_GT(records_.find("a")->trained_tokens, 0U);
  EXPECT_EQ(runs_, 1);
  may_end_ = true;
  records_.resume(kAnna, "a", "");
  runner_->wake();
  wait("a", JobStatus::succeeded);
  runner_.reset();
  EXPECT_TRUE(requests_.at(1).replace);  // what stands under its name is its own
  // An epoch whose rows the pause left unmeasured comes before any step, and has its own.
  const auto metrics = records_.history().metrics("a");
  ASSERT_FALSE(metrics.empty());
  EXPECT_EQ(metrics.back().data["step"], 7);
  EXPECT_EQ(metrics.back().data["total_steps"], 9);
}

TEST_F(JobRunnerTest, ACancelledJobLeavesNothing) {
  add_job("a");
  start();
  wait("a", JobStatus::running);
  records_.cancel(kAnna, "a", "");
  runner_->interrupt("a");
  runner_.reset();
  EXPECT_EQ(discarded_, std::set<std::string>{"tiny:a"});
  EXPECT_EQ(records_.find("a")->status, JobStatus::cancelled);
}

TEST_F(JobRunnerTest, TheEndOfTheServerQueuesAJobForTheNextStart) {
  add_job("a");
  start();
  wait("a", JobStatus::running);
  runner_.reset();
  EXPECT_EQ(records_.find("a")->status, JobStatus::queued);
  may_end_ = true;
  start();
  wait("a", JobStatus::succeeded);
}

TEST_F(JobRunnerTest, StepsThatComeAgainAfterARestartAreCountedOnce) {
  work_.tune = [this](const TuneRequest& request, const tune::TuningEvents& events) {
    for (std::uint64_t step = 1; step <= 5; ++step)
      events.training.step({.step = step, .loss = 1, .positions = 10}, 8);
    if (++runs_ == 1) throw base::Error(base::Fault::io, "cannot write: No space left on device");
    for (std::uint64_t step = 6; step <= 8; ++step)
      events.training.step({.step = step, .loss = 1, .positions = 10}, 8);
    TuneOutcome outcome;
    outcome.finished = true;
    outcome.name = request.model + ":" + request.suffix;
    return outcome;
  };
  add_job("a");
  start();
  // The disk that was full never becomes emptier here; a new start asks it again.
  wait_for_end_or_full_disk("a");
  runner_.reset();
  start();
  EXPECT_EQ(wait("a", JobStatus::succeeded).trained_tokens, 80U);
  EXPECT_EQ(runs_, 2);
}

// The server is killed while the second of two trainings runs, before its record was written.
TEST_F(JobRunnerTest, ARestartWithinTheSecondTrainingCountsTheFirst) {
  work_.tune = [this](const TuneRequest& request, const tune::TuningEvents& events) {
    const auto steps = [&](std::uint64_t from, std::uint64_t to) {
      for (std::uint64_t step = from; step <= to; ++step)
        events.training.step({.step = step, .loss = 1, .positions = 10}, 6);
    };
    if (++runs_ == 1) {
      events.training.begun(0, 0);
      steps(1, 6);
      events.training.begun(0, 0);
      steps(1, 2);
      throw base::Error(base::Fault::io, "cannot write: No space left on device");
    }
    events.training.begun(6, 60);
    events.training.begun(1, 10);
    steps(2, 6);
    TuneOutcome outcome;
    outcome.finished = true;
    outcome.name = request.model + ":" + request.suffix;
    return outcome;
  };
  add_job("a");
  start();
  wait_for_end_or_full_disk("a");
  runner_.reset();
  start();
  const TuningJob job = wait("a", JobStatus::succeeded);
  EXPECT_EQ(job.trained_tokens, 120U);
  EXPECT_EQ(job.steps, 12U);
}

TEST_F(JobRunnerTest, WhatTheGateRefusesFailsTheJobWithItsLines) {
  work_.check = [](const DataCheckRequest& request, const ProgressSink&) {
    DataReport report;
    tune::PartReport part;
    part.name = "train";
    part.path = request.train;
    part.bad_rows = 1;
    part.errors.push_back({{.line = 3}, "no label in " + request.train.string()});
    report.parts.push_back(part);
    report.findings.push_back({tune::Severity::error, "bad_rows", "train", "1 row cannot be used"});
    return report;
  };
  add_job("a");
  start();
  const TuningJob job = wait("a", JobStatus::failed);
  EXPECT_EQ(job.error->code, "invalid_training_file");
  EXPECT_EQ(job.error->parameter, "training_file");
  EXPECT_NE(job.error->message.find("line 3: no label in " + file_.id), std::string::npos)
      << job.error->message;
  EXPECT_EQ(job.error->message.find(folder_.path().string()), std::string::npos);
  EXPECT_EQ(runs_, 0);
}

TEST_F(JobRunnerTest, AFailureIsTheJobsOwn) {
  work_.tune = [](const TuneRequest&, const tune::TuningEvents&) -> TuneOutcome {
    throw base::Error(base::Fault::out_of_memory, "it does not fit");
  };
  add_job("a");
  start();
  EXPECT_EQ(wait("a", JobStatus::failed).error->code, "out_of_memory");
}

TEST_F(JobRunnerTest, TextsThatAreScoredHaveATimeLeftAndStop) {
  work_.tune = [this](const TuneRequest&, const tune::TuningEvents& events) -> TuneOutcome {
    for (++runs_;;) {
      events.stage("scoring labels", 10, 100000);
      std::this_thread::sleep_for(1ms);
    }
  };
  add_job("a");
  start();
  wait_until([&] { return records_.find("a")->estimated_finish.has_value(); });
  EXPECT_TRUE(records_.find("a")->estimated_finish.has_value());
  records_.pause(kAnna, "a", "");
  EXPECT_TRUE(runner_->interrupt("a"));
  while (runner_->interrupt("a")) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(records_.find("a")->status, JobStatus::paused);
  EXPECT_EQ(runs_, 1);
}

TEST_F(JobRunnerTest, AFailureSaysWhatItWasAbout) {
  const auto failed = [&](const std::string& id, base::Fault fault, const std::string& message,
                          const base::ErrorDetails& details = {}) {
    const std::scoped_lock lock(mutex_);
    failures_.emplace(id, base::Error(fault, message, details));
    return id;
  };
  work_.tune = [this](const TuneRequest& request, const tune::TuningEvents&) -> TuneOutcome {
    const std::scoped_lock lock(mutex_);
    throw failures_.at(request.suffix);
  };
  const std::string path = files_.path(file_).string();
  using base::Fault;
  failed("rows", Fault::invalid_argument, "all rows have the same label");
  failed("row", Fault::invalid_argument, path + ", line 3: no label");
  failed("file", Fault::corrupt_file, path + " has no rows");
  failed("kind", Fault::unsupported, path + " is a picture");
  failed("weights", Fault::corrupt_file, "/models/tiny.gguf: a tensor is cut short");
  failed("family", Fault::unsupported, "the family 'x' cannot be trained");
  failed("rate", Fault::invalid_argument, "the gradient of step 3 is no longer a number",
         {.code = "training_diverged", .parameter = "hyperparameters"});
  for (const auto& [id, error] : failures_) add_job(id);
  start();
  const auto expect = [&](const std::string& id, const char* code, const char* parameter) {
    const auto error = wait(id, JobStatus::failed).error;
    EXPECT_EQ(error->code, code) << id;
    EXPECT_EQ(error->parameter, parameter) << id;
    EXPECT_EQ(error->message.find(folder_.path().string()), std::string::npos) << error->message;
  };
  for (const char* id : {"rows", "row", "file", "kind"})
    expect(id, "invalid_training_file", "training_file");
  expect("weights", "invalid_model", "model");
  expect("family", "unsupported", "");
  expect("rate", "training_diverged", "hyperparameters");
}

TEST_F(JobRunnerTest, AnotherModelUnderTheNameIsNotTuned) {
  work_.digest = [](const std::string&) { return "sha256:bb"; };
  add_job("a");
  start();
  EXPECT_EQ(wait("a", JobStatus::failed).error->code, "model_not_found");
  EXPECT_EQ(runs_, 0);
}

}  // namespace
}  // namespace malina::platform
