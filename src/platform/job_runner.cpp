#include "platform/job_runner.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/error.h"
#include "platform/full_disk.h"
#include "platform/job_failure.h"
#include "platform/job_recipe.h"
#include "platform/job_teller.h"
#include "store/database.h"

namespace malina::platform {

using base::Error;
using base::Fault;
namespace fs = std::filesystem;

namespace {

constexpr int kNiceness = 10;  // below the threads that answer, above nothing at all
constexpr auto kAgain = std::chrono::seconds(1);  // after a failure to read or write records

// Linux keeps a priority for each thread; a new thread starts with its maker's.
void lower_priority() {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kNiceness);
}

// Of the training whose adapter was chosen, where there may have been two; nullopt: of any.
std::optional<double> best_loss(const TuneOutcome& outcome) {
  const tune::TuningReport& report = outcome.report;
  if (report.rungs.empty()) return std::nullopt;
  const auto& history = report.uses(tune::Method::labels) ? report.label_history : report.history;
  for (auto epoch = history.rbegin(); epoch != history.rend(); ++epoch)
    if (epoch->best) return epoch->loss;
  return std::nullopt;
}

}  // namespace

JobRunner::JobRunner(JobRecords& records, DataFiles& files, JobWork work, JobRunnerOptions options)
    : records_(records), files_(files), work_(std::move(work)), options_(std::move(options)) {
  validator_ =
      std::thread([this] { loop(JobStatus::validating_files, validating_, &JobRunner::validate); });
  trainer_ = std::thread([this] { loop(JobStatus::queued, training_, &JobRunner::train); });
}

JobRunner::~JobRunner() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  validator_.join();
  trainer_.join();
}

void JobRunner::wake() {
  {
    const std::scoped_lock lock(mutex_);
    ++news_;
  }
  changed_.notify_all();
}

bool JobRunner::interrupt(std::string_view id) {
  const std::scoped_lock lock(mutex_);
  bool found = false;
  for (Lane* lane : {&validating_, &training_}) {
    if (lane->job != id) continue;
    lane->interrupted = found = true;
  }
  return found;
}

bool JobRunner::stops(Lane& lane) {
  const std::scoped_lock lock(mutex_);
  return stopping_ || lane.interrupted;
}

void JobRunner::loop(JobStatus status, Lane& lane, void (JobRunner::*run)(const TuningJob&)) {
  lower_priority();
  bool recovered = status != JobStatus::queued;  // the trainer's: what ran is its own
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const std::uint64_t seen = news_;
    bool failed = false;
    std::optional<TuningJob> job;
    lock.unlock();
    try {
      if (!recovered) records_.recover();
      recovered = true;
      if (status == JobStatus::queued && records_.any_waits_for_room() && has_room())
        records_.room_again();
      job = records_.oldest(status);
    } catch (const std::exception&) {
      failed = true;
    }
    lock.lock();
    if (job) {
      // Known before it is begun: what changes its status from here on finds it.
      lane = {job->id, false};
      lock.unlock();
      std::shared_ptr<void> hold;
      try {
        if (status == JobStatus::queued && work_.hold) hold = work_.hold(job->result_name);
        (this->*run)(*job);
      } catch (const std::exception&) {
        failed = true;  // the records could not be written, or its name is held
      }
      lock.lock();
      while (std::exchange(lane.interrupted, false)) {
        lock.unlock();
        clear(*job);
        lock.lock();
      }
      hold.reset();
      lane = {};
      ++news_;
      changed_.notify_all();  // for the other thread
      if (!failed) continue;
    }
    changed_.wait_for(lock, failed ? kAgain : options_.look,
                      [&] { return stopping_ || (!failed && news_ != seen); });
  }
}

// Where it was cancelled while it was worked on.
void JobRunner::clear(const TuningJob& job) {
  try {
    const auto now = records_.find(job.id);
    if (now && now->status == JobStatus::cancelled && now->started) work_.discard(job.result_name);
  } catch (const std::exception&) {
    // What is left takes room, and hinders nothing but its name.
  }
}

std::uint64_t JobRunner::free_bytes() const {
  struct statvfs facts{};
  if (::statvfs(options_.home.c_str(), &facts) != 0) return UINT64_MAX;
  return static_cast<std::uint64_t>(facts.f_bavail) * facts.f_frsize;
}

// More than when it was full: a snapshot may need more than `room`.
bool JobRunner::has_room() const {
  const std::uint64_t free = free_bytes();
  return free >= options_.room && free > free_when_full_;
}

// Messages are for the job's owner, who knows files by their ids and names.
std::string JobRunner::without_paths(const TuningJob& job, std::string text) {
  for (const std::string& id : {job.training_file, job.validation_file}) {
    if (id.empty()) continue;
    const auto file = files_.find(job.tenant, id);
    if (!file) continue;
    const std::string path = files_.path(*file).string();
    for (auto at = text.find(path); at != text.npos; at = text.find(path))
      text.replace(at, path.size(), id);
  }
  const std::string home = options_.home.string();
  for (auto at = text.find(home); !home.empty() && at != text.npos; at = text.find(home))
    text.replace(at, home.size(), "HOME");
  return text;
}

// The parameter whose file a message names; "" where it names none.
std::string JobRunner::file_named(const TuningJob& job, std::string_view text) {
  for (const char* parameter : {"validation_file", "training_file"}) {
    const bool training = std::string_view(parameter) == "training_file";
    const std::string& id = training ? job.training_file : job.validation_file;
    const auto file = id.empty() ? std::nullopt : files_.find(job.tenant, id);
    if (file && text.find(files_.path(*file).string()) != text.npos) return parameter;
  }
  return "";
}

void JobRunner::fail(const TuningJob& job, const JobError& error) {
  JobError shown = error;
  shown.message = without_paths(job, shown.message);
  keep_trying([&] { records_.fail(job.id, shown); });
}

// What it had got to is of no use to anybody, and may be large.
void JobRunner::fail_begun(const TuningJob& job, const JobError& error) {
  fail(job, error);
  if (work_.forget) work_.forget(job.result_name);
}

// A job's end is not lost because the disk is full for a while. Where the server stops meanwhile
// the job is done again.
void JobRunner::keep_trying(const std::function<void()>& write) {
  for (;;) {
    try {
      write();
      return;
    } catch (const Error& error) {
      if (!says_disk_full(error)) throw;
    }
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, kAgain, [&] { return stopping_; })) return;
  }
}

void JobRunner::validate(const TuningJob& job) {
  std::vector<JobEvent> events;
  try {
    DataCheckRequest request;
    request.train = files_.path(files_.get(job.tenant, job.training_file));
    if (!job.validation_file.empty())
      request.validation = files_.path(files_.get(job.tenant, job.validation_file));
    request.model = job.model;
    const DataReport report = work_.check(request, [&](const Progress&) {
      if (stops(validating_)) throw Error(Fault::cancelled, "the job was interrupted");
    });
    if (report.refused()) {
      fail(job, refusal_of(report));
      return;
    }
    for (const tune::Finding& finding : report.findings) {
      JobEvent& event = events.emplace_back();
      event.level = "warn";
      event.message = without_paths(job, fmt::format("{} file: {}", finding.part, finding.what));
      event.data["kind"] = finding.kind;
    }
  } catch (const Error& error) {
    if (error.fault() != Fault::cancelled)
      fail(job, failure_of(error, file_named(job, error.what())));
    return;
  } catch (const std::bad_alloc&) {
    fail(job, {"out_of_memory", "there is not enough memory to check the data", ""});
    return;
  } catch (const std::exception& error) {
    fail(job, {"server_error", error.what(), ""});
    return;
  }
  events.emplace_back().message = "Files validated, moving job to queued state";
  keep_trying([&] { records_.validated(job.id, events); });
}

TuneRequest JobRunner::request_of(const TuningJob& job) {
  TuneRequest request;
  request.model = job.model;
  request.suffix = job.result_name.substr(job.model.size() + 1);
  request.replace = job.started;  // then it is this job's own
  request.job = job.id;
  request.threads = options_.threads;
  tune::TuningRequest& tuning = request.tuning;
  tuning.training = {files_.path(files_.get(job.tenant, job.training_file))};
  if (!job.validation_file.empty())
    tuning.validation = {files_.path(files_.get(job.tenant, job.validation_file))};
  set_recipes(job, request);
  return request;
}

void JobRunner::train(const TuningJob& job) {
  TuneRequest request;
  try {
    if (work_.digest(job.model) != "sha256:" + job.model_digest)
      throw Error(Fault::not_found,
                  fmt::format("the model {} is not the one that the job was made for", job.model));
    request = request_of(job);
  } catch (const store::StorageError&) {
    throw;
  } catch (const Error& error) {
    const JobError failure = failure_of(error, file_named(job, error.what()));
    job.started ? fail_begun(job, failure) : fail(job, failure);
    return;
  }
  // What a job of this name left that failed is of no use to another one.
  if (!job.started && work_.forget) work_.forget(job.result_name);
  if (!records_.start(job.id)) return;  // paused or cancelled just now
  JobTeller teller(records_, job, [this] { return stops(training_); });
  TakenMemory taken(options_.memory);
  if (options_.memory.reserve)
    request.memory = {.most = options_.memory.bytes, .take = [&](std::uint64_t bytes) {
                        reserve(bytes, teller);
                        taken.add(bytes);
                      }};
  work_on(job, request, teller);
}

void JobRunner::reserve(std::uint64_t bytes, JobTeller& teller) {
  for (bool told = false; !options_.memory.reserve(bytes); told = true) {
    if (!told)
      teller.say(
          fmt::format("The job waits for {} MiB of memory that others use", (bytes >> 20) + 1));
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, options_.look, [&] { return stopping_ || training_.interrupted; });
    if (stopping_ || training_.interrupted)
      throw Error(Fault::cancelled, "the job was interrupted");
  }
}

void JobRunner::work_on(const TuningJob& job, const TuneRequest& request, JobTeller& teller) {
  TuneOutcome outcome;
  try {
    outcome = work_.tune(request, teller.events());
    teller.write();
  } catch (const Error& error) {
    teller.write();
    if (error.fault() == Fault::cancelled && stops(training_)) {
      settle(job);
    } else if (says_disk_full(error)) {
      free_when_full_ = free_bytes();
      keep_trying([&] { records_.wait_for_room(job.id); });
    } else {
      fail_begun(job, failure_of(error, file_named(job, error.what())));
    }
    return;
  } catch (const std::bad_alloc&) {
    fail_begun(job, {"out_of_memory", "there is not enough memory for this job", ""});
    return;
  } catch (const std::exception& error) {
    fail_begun(job, {"server_error", error.what(), ""});
    return;
  }
  if (outcome.finished)
    finish(job, outcome, teller.take());
  else
    settle(job);
}

// It was left before its end: because of what its owner asked, or because the server stops.
void JobRunner::settle(const TuningJob& job) {
  keep_trying([&] {
    records_.requeue(job.id, "The server stops: the job goes on when it is started again");
  });
}

// OpenAI's columns. "" where there is nothing to tell.
std::string JobRunner::store_results(const TuningJob& job, std::span<const JobEvent> metrics) {
  const auto number = [](const JobEvent& event, const char* name) {
    return event.data.contains(name) ? event.data[name].dump() : std::string();
  };
  std::string table = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n";
  for (const JobEvent& event : metrics)
    table += fmt::format("{},{},,{},{}\n", number(event, "step"), number(event, "train_loss"),
                         number(event, "full_valid_loss"),
                         number(event, "full_valid_mean_token_accuracy"));
  DataFiles::Upload upload = files_.begin("step_metrics.csv");
  upload.write(table);
  return files_.commit(upload, {job.created_by, job.tenant}, kPurposeResults, "").id;
}

void JobRunner::finish(const TuningJob& job, const TuneOutcome& outcome,
                       std::vector<JobEvent> events) {
  std::string results;
  keep_trying([&] {
    const std::vector<JobEvent> metrics = records_.history().metrics(job.id);
    JobCheckpoint checkpoint;
    checkpoint.model = outcome.name;
    const tune::TuningReport& report = outcome.report;
    const auto loss = best_loss(outcome);
    const auto best = std::find_if(metrics.rbegin(), metrics.rend(), [&](const JobEvent& event) {
      return event.data.value("best", false) && (!loss || event.data["full_valid_loss"] == *loss);
    });
    if (!report.rungs.empty() && !report.uses_adapter()) {
      // Nothing that was trained in steps is part of it.
      checkpoint.metrics["full_valid_mean_token_accuracy"] =
          report.chosen_rung().validation.accuracy.value;
    } else if (best != metrics.rend()) {
      checkpoint.step = best->data.value("step", std::uint64_t{0});
      for (const char* name :
           {"step", "train_loss", "full_valid_loss", "full_valid_mean_token_accuracy"})
        checkpoint.metrics[name] = best->data[name];
    }
    std::vector<JobEvent> told = events;
    try {
      if (!metrics.empty() && results.empty()) results = store_results(job, metrics);
    } catch (const Error& error) {
      if (says_disk_full(error)) throw;
      JobEvent& event = told.emplace_back();
      event.level = "warn";
      event.message = without_paths(job, std::string("No file of metrics: ") + error.what());
    }
    if (!report.reason.empty())
      told.emplace_back().message =
          fmt::format("Chosen: {}; {}", tune::name(report.chosen_rung().members), report.reason);
    told.emplace_back().message = "New fine-tuned model created: " + outcome.name;
    told.emplace_back().message = "The job has successfully completed";
    records_.succeed(job.id, results, told, checkpoint);
  });
}

}  // namespace malina::platform
