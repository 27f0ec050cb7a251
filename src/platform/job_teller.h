// What a running job tells, as events and numbers of its record: at most one write a second.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/job_records.h"
#include "tune/tuning.h"

namespace malina::platform {

// One thread: the job's. What cannot be written now (a full disk) is kept, the newest of it, and
// written with what comes later.
class JobTeller {
 public:
  // `stops` is asked often; true ends the work: with a snapshot where it can, otherwise by an
  // exception of kind base::Fault::cancelled. Both outlive this.
  JobTeller(JobRecords& records, const TuningJob& job, std::function<bool()> stops);

  tune::TuningEvents events();
  void say(std::string message, std::string level = "info");
  void write() noexcept;         // now
  std::vector<JobEvent> take();  // what was not written yet

 private:
  using Clock = std::chrono::steady_clock;

  void stage(std::string_view name, std::size_t done, std::size_t total);
  void expect_end(double seconds);  // of what runs now, in so many
  void rung(const tune::Rung& rung);
  void begun(std::uint64_t steps, std::uint64_t positions);
  void step(const tune::StepReport& step, std::uint64_t steps);
  void epoch(const tune::EpochReport& epoch);
  void add(JobEvent event);

  JobRecords& records_;
  const std::string id_;
  const std::function<bool()> stops_;
  JobProgress progress_;
  std::vector<JobEvent> waiting_;
  std::string stage_;
  Clock::time_point stage_began_;
  std::uint64_t first_step_ = 0;
  // Of all trainings so far, those that an earlier run of the job did included. The record may
  // know of more: of steps since the last snapshot, which come again.
  std::uint64_t all_steps_ = 0, all_tokens_ = 0;
  std::optional<Clock::time_point> began_, told_, written_;
};

}  // namespace malina::platform
