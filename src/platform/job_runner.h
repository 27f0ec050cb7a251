// What works on tuning jobs: a thread that checks data, and one that trains, one job after another
// in the order in which they were asked for.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "platform/data_files.h"
#include "platform/data_sets.h"
#include "platform/job_records.h"
#include "platform/shared_memory.h"
#include "platform/tuning.h"

namespace malina::platform {

class JobTeller;

// What a job is made of, so that tests can give their own.
struct JobWork {
  std::function<DataReport(const DataCheckRequest&, const ProgressSink&)> check;
  std::function<TuneOutcome(const TuneRequest&, const tune::TuningEvents&)> tune;
  // "sha256:..." of what a model's name stands for now. Throws not_found.
  std::function<std::string(const std::string& model)> digest;
  // Keeps the result's name from others while it lives: from before a training of it begins until
  // what a cancelled or failed one has left is cleared away. Throws already_exists where another
  // has it, for a moment. May be empty.
  std::function<std::shared_ptr<void>(const std::string& result_name)> hold = {};
  // Takes away what a cancelled job has left under its result's name.
  std::function<void(const std::string& result_name)> discard;
  // Takes away what a training that did not end has left under this name. May be empty.
  std::function<void(const std::string& result_name)> forget = {};
};

struct JobRunnerOptions {
  unsigned threads = 0;                  // that compute; 0: one a core
  std::uint64_t room = 64ULL << 20;      // bytes that must be free on the disk to go on
  std::chrono::milliseconds look{2000};  // between two looks whether there is room again
  std::filesystem::path home;            // whose disk that is
  SharedMemory memory = {};
};

// Its threads run at a lowered priority, so that answers come first; so do those that they start.
// Safe on many threads.
class JobRunner {
 public:
  // Records and files outlive this. Begins at once with what there is to do.
  JobRunner(JobRecords& records, DataFiles& files, JobWork work, JobRunnerOptions options);
  // A job that trains is paused with a snapshot, and queued for the next start.
  ~JobRunner();
  JobRunner(const JobRunner&) = delete;
  JobRunner& operator=(const JobRunner&) = delete;

  void wake();  // there is something new to do
  // The job's status has changed: whoever works on it stops as soon as it can, and clears away what
  // it leaves if it was cancelled. False: nobody works on it.
  bool interrupt(std::string_view id);

 private:
  struct Lane {       // of one thread
    std::string job;  // that is worked on; "": none
    bool interrupted = false;
  };
  void loop(JobStatus status, Lane& lane, void (JobRunner::*run)(const TuningJob&));
  bool stops(Lane& lane);  // true: leave the job
  void validate(const TuningJob& job);
  void train(const TuningJob& job);
  void work_on(const TuningJob& job, const TuneRequest& request, JobTeller& teller);
  // Waits for it; throws cancelled where the job is to be left meanwhile.
  void reserve(std::uint64_t bytes, JobTeller& teller);
  TuneRequest request_of(const TuningJob& job);
  void finish(const TuningJob& job, const TuneOutcome& outcome, std::vector<JobEvent> events);
  void clear(const TuningJob& job);
  void settle(const TuningJob& job);
  void fail(const TuningJob& job, const JobError& error);
  void fail_begun(const TuningJob& job, const JobError& error);
  std::string store_results(const TuningJob& job, std::span<const JobEvent> metrics);
  std::string without_paths(const TuningJob& job, std::string text);
  std::string file_named(const TuningJob& job, std::string_view text);
  std::uint64_t free_bytes() const;
  bool has_room() const;
  void keep_trying(const std::function<void()>& write);

  JobRecords& records_;
  DataFiles& files_;
  const JobWork work_;
  const JobRunnerOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t news_ = 0;  // counts calls of wake()
  bool stopping_ = false;
  Lane validating_, training_;
  std::uint64_t free_when_full_ = 0;  // bytes; the trainer's
  std::thread validator_, trainer_;   // last: they use the others
};

}  // namespace malina::platform
