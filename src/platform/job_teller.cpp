#include "platform/job_teller.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/error.h"

namespace malina::platform {

namespace {

constexpr auto kBetween = std::chrono::seconds(1);  // two writes, and two steps that are told
constexpr std::size_t kMostWaiting = 1000;

}  // namespace

JobTeller::JobTeller(JobRecords& records, const TuningJob& job, std::function<bool()> stops)
    : records_(records),
      id_(job.id),
      stops_(std::move(stops)),
      progress_{job.steps, job.trained_tokens, {}} {}

tune::TuningEvents JobTeller::events() {
  tune::TuningEvents events;
  events.stage = [this](std::string_view name, std::size_t done, std::size_t total) {
    stage(name, done, total);
  };
  events.rung = [this](const tune::Rung& each) { rung(each); };
  events.training.begun = [this](std::uint64_t steps, std::uint64_t positions) {
    begun(steps, positions);
  };
  events.training.step = [this](const tune::StepReport& each, std::uint64_t steps) {
    step(each, steps);
  };
  events.training.epoch = [this](const tune::EpochReport& each) { epoch(each); };
  events.training.pause = [this] { return stops_(); };
  return events;
}

void JobTeller::add(JobEvent event) {
  event.created_at = std::time(nullptr);
  if (waiting_.size() == kMostWaiting) waiting_.erase(waiting_.begin());
  waiting_.push_back(std::move(event));
  const auto now = Clock::now();
  if (written_ && now - *written_ < kBetween) return;
  write();
}

void JobTeller::say(std::string message, std::string level) {
  JobEvent event;
  event.message = std::move(message);
  event.level = std::move(level);
  add(std::move(event));
}

void JobTeller::write() noexcept {
  written_ = Clock::now();
  try {
    records_.progress(id_, progress_, waiting_);
    waiting_.clear();
  } catch (...) {
    // A full disk must not end the training: it is told of when a snapshot does not fit.
  }
}

std::vector<JobEvent> JobTeller::take() { return std::exchange(waiting_, {}); }

// What comes before the training in steps keeps no snapshot: it is left by an exception, and done
// again.
void JobTeller::stage(std::string_view name, std::size_t done, std::size_t total) {
  if (stops_()) throw base::Error(base::Fault::cancelled, "the job was interrupted");
  const auto now = Clock::now();
  if (stage_ != name) {
    stage_ = name;
    stage_began_ = now;
    progress_.estimated_finish.reset();
    say(fmt::format("Now: {}", name));
  }
  if (total <= 1 || done == 0) return;
  const double seconds = std::chrono::duration<double>(now - stage_began_).count();
  expect_end(seconds / static_cast<double>(done) *
             static_cast<double>(total - std::min(done, total)));
  if (!written_ || now - *written_ >= kBetween) write();
}

void JobTeller::expect_end(double seconds) {
  progress_.estimated_finish = std::time(nullptr) + static_cast<std::int64_t>(seconds);
}

void JobTeller::rung(const tune::Rung& rung) {
  JobEvent event;
  event.message = fmt::format("{}: {:.1f} % of the validation rows are right",
                              tune::name(rung.members), 100 * rung.validation.accuracy.value);
  event.data["method"] = tune::name(rung.members);
  event.data["valid_accuracy"] = rung.validation.accuracy.value;
  event.data["valid_macro_f1"] = rung.validation.macro_f1;
  if (rung.p_value) event.data["p_value_against_linear"] = *rung.p_value;
  add(std::move(event));
}

void JobTeller::begun(std::uint64_t steps, std::uint64_t positions) {
  began_.reset();
  told_.reset();
  all_steps_ += steps;
  all_tokens_ += positions;
}

void JobTeller::step(const tune::StepReport& step, std::uint64_t steps) {
  const auto now = Clock::now();
  if (!began_) {  // the first step's own time is not known
    began_ = now;
    first_step_ = step.step;
  }
  all_tokens_ += step.positions;
  progress_.steps = std::max(progress_.steps, ++all_steps_);
  progress_.trained_tokens = std::max(progress_.trained_tokens, all_tokens_);
  const double seconds = std::chrono::duration<double>(now - *began_).count();
  if (step.step > first_step_) {
    const double each = seconds / static_cast<double>(step.step - first_step_);
    expect_end(each * static_cast<double>(steps - step.step));
  }
  if (told_ && now - *told_ < kBetween && step.step != steps) return;
  told_ = now;
  JobEvent event;
  event.type = "metrics";
  event.message = fmt::format("Step {}/{}: training loss={:.4f}", step.step, steps, step.loss);
  event.data["step"] = step.step;
  event.data["total_steps"] = steps;
  event.data["train_loss"] = step.loss;
  add(std::move(event));
}

void JobTeller::epoch(const tune::EpochReport& epoch) {
  JobEvent event;
  event.type = "metrics";
  event.message = fmt::format(
      "Epoch {}: training loss={:.4f}, validation loss={:.4f}, validation accuracy={:.4f}",
      epoch.epoch, epoch.train_loss, epoch.loss, epoch.accuracy);
  event.data["step"] = epoch.step;
  event.data["total_steps"] = epoch.steps;
  event.data["epoch"] = epoch.epoch;
  event.data["best"] = epoch.best;
  event.data["train_loss"] = epoch.train_loss;
  event.data["full_valid_loss"] = epoch.loss;
  event.data["full_valid_mean_token_accuracy"] = epoch.accuracy;
  event.data["full_valid_macro_f1"] = epoch.macro_f1;
  add(std::move(event));
}

}  // namespace malina::platform
