#include "platform/job_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "platform/job_row.h"

namespace malina::platform {

using base::Error;
using base::Fault;
using Json = nlohmann::ordered_json;

namespace {

Error no_job(std::string_view id) {
  return Error(Fault::not_found,
               fmt::format("there is no fine-tuning job '{}'",
                           id.substr(0, govern::AuditEntry::kLongestText)),
               {.code = "fine_tune_not_found"});
}

JobEvent said(std::string message) {
  JobEvent event;
  event.message = std::move(message);
  return event;
}

bool has_pairs(const Json& metadata, const Json& wanted) {
  return std::all_of(wanted.items().begin(), wanted.items().end(), [&](const auto& pair) {
    const auto found = metadata.find(pair.key());
    return found != metadata.end() && *found == pair.value();
  });
}

}  // namespace

// What a step of a job's life writes.
struct JobRecords::Change {
  JobStatus to = JobStatus::failed;
  bool allowed = true;  // beside may_become(): the rule of this step alone
  std::vector<JobEvent> events = {};
  std::optional<JobError> error = {};
  std::string result_file = {};
  std::optional<JobCheckpoint> checkpoint = {};
  bool waits_for_room = false;
};

std::int64_t JobRecords::now() const {
  return std::chrono::system_clock::to_time_t(chain_.clock().wall());
}

TuningJob JobRecords::create(TuningJob job, const Actor& by, std::string_view request_id,
                             const std::function<void()>& check, const Repetition& repetition) {
  database_.transaction([&] {
    if (const auto before = created_before(database_, by.id, repetition, now()))
      if (auto found = find(*before); found && found->tenant == by.tenant) {
        job = *std::move(found);
        return;
      }
    const auto same = database_.query(
        fmt::format("SELECT {} FROM tuning_jobs WHERE tenant = ?1 AND fingerprint = ?2 AND status "
                    "NOT IN ('succeeded', 'failed', 'cancelled')",
                    kJobColumns),
        {by.tenant, job.fingerprint});
    if (!same.empty()) {
      job = job_of(same[0]);
      remember_created(database_, by.id, repetition, job.id, now());
      return;
    }
    check();
    const auto last = database_.query("SELECT COALESCE(MAX(sequence), 0) FROM tuning_jobs");
    job.sequence = last[0].integer(0) + 1;
    job.tenant = by.tenant;
    job.created_by = by.id;
    job.created_at = now();
    job.status = JobStatus::validating_files;
    insert_job(database_, job);
    history_.add(job.id, std::vector{said("Created fine-tuning job: " + job.id),
                                     said("Validating training file: " + job.training_file)});
    const std::string digests =
        job.training_digest + (job.validation_digest.empty() ? "" : "," + job.validation_digest);
    chain_.append(database_, {.actor = by,
                              .action = "tuning.job.create",
                              .subject = job.id,
                              .model = job.model,
                              .digest = digests,
                              .request = std::string(request_id),
                              .outcome = "done"});
    remember_created(database_, by.id, repetition, job.id, now());
  });
  return job;
}

std::optional<TuningJob> JobRecords::find(std::string_view id) {
  const auto rows = database_.query(
      fmt::format("SELECT {} FROM tuning_jobs WHERE id = ?1", kJobColumns), {std::string(id)});
  return rows.empty() ? std::nullopt : std::optional(job_of(rows[0]));
}

TuningJob JobRecords::get(std::string_view tenant, std::string_view id) {
  auto job = find(id);
  if (!job || job->tenant != tenant) throw no_job(id);
  return *std::move(job);
}

Page<TuningJob> JobRecords::list(std::string_view tenant, const Json& metadata,
                                 const PageRequest& page) {
  std::int64_t from = page.ascending ? 0 : INT64_MAX;
  if (!page.after.empty()) {
    const auto known = find(page.after);
    if (!known || known->tenant != tenant) throw wrong_after(page.after, "a fine-tuning job");
    from = known->sequence;
  }
  // Metadata is text to the database: what does not fit is left out here, piece by piece.
  Page<TuningJob> result;
  const std::int64_t rows_at_once =
      metadata.empty() ? static_cast<std::int64_t>(page.limit) + 1 : std::int64_t{500};
  for (;;) {
    const auto rows = database_.query(
        fmt::format("SELECT {} FROM tuning_jobs WHERE tenant = ?1 AND sequence {} ?2 ORDER BY "
                    "sequence {} LIMIT ?3",
                    kJobColumns, page.ascending ? ">" : "<", page.ascending ? "ASC" : "DESC"),
        {std::string(tenant), from, rows_at_once});
    for (const store::Row& row : rows) {
      TuningJob job = job_of(row);
      from = job.sequence;
      if (!has_pairs(job.metadata, metadata)) continue;
      result.has_more = result.items.size() == page.limit;
      if (result.has_more) return result;
      result.items.push_back(std::move(job));
    }
    if (static_cast<std::int64_t>(rows.size()) < rows_at_once) return result;
  }
}

// Within a transaction; the job is allowed to.
bool JobRecords::change(std::string_view id, const Change& change) {
  const auto job = find(id);
  if (!job || !change.allowed || !may_become(job->status, change.to)) return false;
  const JobError error = change.error.value_or(JobError{});
  const bool over = is_over(change.to);
  const store::Value finished = over ? store::Value(now()) : store::Value();
  const bool keeps_estimate = change.to == JobStatus::running;
  database_.execute(
      "UPDATE tuning_jobs SET status = ?2, finished_at = ?3, error_code = ?4, error_message = ?5, "
      "error_param = ?6, result_file = ?7, waits_for_room = ?8, started = CASE WHEN ?9 = 1 THEN 1 "
      "ELSE started END, "
      "estimated_finish = CASE WHEN ?9 = 1 THEN estimated_finish ELSE NULL END WHERE id = ?1",
      {std::string(id), std::string(name(change.to)), finished, error.code, error.message,
       error.parameter, change.result_file, std::int64_t{change.waits_for_room ? 1 : 0},
       std::int64_t{keeps_estimate ? 1 : 0}});
  history_.add(id, change.events);
  if (change.checkpoint) history_.add(id, *change.checkpoint);
  if (over && change.to != JobStatus::cancelled)
    chain_.append(database_, {.actor = {job->created_by, job->tenant},
                              .action = "tuning.job",
                              .subject = job->id,
                              .model = job->model,
                              .digest = job->model_digest,
                              .outcome = std::string(name(change.to)),
                              .prompt_tokens = static_cast<std::int64_t>(job->trained_tokens)});
  return true;
}

TuningJob JobRecords::ask(const Actor& by, std::string_view id, std::string_view request_id,
                          std::string_view action,
                          const std::function<Change(const TuningJob&)>& decide) {
  TuningJob job;
  database_.transaction([&] {
    job = get(by.tenant, id);
    if (!change(id, decide(job)))
      throw Error(Fault::already_exists,
                  fmt::format("a job that is {} cannot be {}", name(job.status), action),
                  {.code = "invalid_job_status", .retry_helps = false});
    chain_.append(database_, {.actor = by,
                              .action = fmt::format("tuning.job.{}", action),
                              .subject = job.id,
                              .model = job.model,
                              .request = std::string(request_id),
                              .outcome = "done"});
    job = get(by.tenant, id);
  });
  return job;
}

TuningJob JobRecords::cancel(const Actor& by, std::string_view id, std::string_view request_id) {
  return ask(by, id, request_id, "cancelled", [](const TuningJob&) {
    return Change{.to = JobStatus::cancelled, .events = {said("The job was cancelled")}};
  });
}

TuningJob JobRecords::pause(const Actor& by, std::string_view id, std::string_view request_id) {
  return ask(by, id, request_id, "paused", [](const TuningJob&) {
    return Change{.to = JobStatus::paused, .events = {said("The job was paused")}};
  });
}

TuningJob JobRecords::resume(const Actor& by, std::string_view id, std::string_view request_id) {
  return ask(by, id, request_id, "resumed", [](const TuningJob& job) {
    return Change{.to = job.validated ? JobStatus::queued : JobStatus::validating_files,
                  .allowed = job.status == JobStatus::paused,
                  .events = {said("The job was resumed")}};
  });
}

std::optional<TuningJob> JobRecords::oldest(JobStatus status) {
  const auto rows = database_.query(
      fmt::format("SELECT {} FROM tuning_jobs WHERE status = ?1 ORDER BY sequence LIMIT 1",
                  kJobColumns),
      {std::string(name(status))});
  return rows.empty() ? std::nullopt : std::optional(job_of(rows[0]));
}

bool JobRecords::validated(std::string_view id, std::span<const JobEvent> events) {
  bool done = false;
  database_.transaction([&] {
    const auto job = find(id);
    done = change(id, {.to = JobStatus::queued,
                       .allowed = job && job->status == JobStatus::validating_files,
                       .events = {events.begin(), events.end()}});
    if (done)
      database_.execute("UPDATE tuning_jobs SET validated = 1 WHERE id = ?1", {std::string(id)});
  });
  return done;
}

bool JobRecords::start(std::string_view id) {
  bool done = false;
  database_.transaction([&] {
    done = change(id, {.to = JobStatus::running, .events = {said("Fine-tuning job started")}});
  });
  return done;
}

bool JobRecords::progress(std::string_view id, const JobProgress& progress,
                          std::span<const JobEvent> events) {
  bool done = false;
  database_.transaction([&] {
    const auto job = find(id);
    done = job && !is_over(job->status);
    if (!done) return;
    const bool runs = job->status == JobStatus::running;
    database_.execute(
        "UPDATE tuning_jobs SET steps = ?2, trained_tokens = ?3, estimated_finish = ?4 WHERE id = "
        "?1",
        {std::string(id), static_cast<std::int64_t>(progress.steps),
         static_cast<std::int64_t>(progress.trained_tokens),
         runs && progress.estimated_finish ? store::Value(*progress.estimated_finish)
                                           : store::Value()});
    history_.add(id, events);
  });
  return done;
}

bool JobRecords::wait_for_room(std::string_view id) {
  bool done = false;
  database_.transaction([&] {
    JobEvent event = said("The disk is full: the job goes on by itself when there is room");
    event.level = "warn";
    const auto job = find(id);
    done = change(id, {.to = JobStatus::paused,
                       .allowed = job && job->status == JobStatus::running,
                       .events = {std::move(event)},
                       .waits_for_room = true});
  });
  return done;
}

bool JobRecords::requeue(std::string_view id, std::string_view why) {
  bool done = false;
  database_.transaction([&] {
    const auto job = find(id);
    done = change(id, {.to = JobStatus::queued,
                       .allowed = job && job->status == JobStatus::running,
                       .events = {said(std::string(why))}});
  });
  return done;
}

bool JobRecords::succeed(std::string_view id, std::string_view result_file,
                         std::span<const JobEvent> events,
                         const std::optional<JobCheckpoint>& checkpoint) {
  bool done = false;
  database_.transaction([&] {
    done = change(id, {.to = JobStatus::succeeded,
                       .events = {events.begin(), events.end()},
                       .result_file = std::string(result_file),
                       .checkpoint = checkpoint});
  });
  return done;
}

bool JobRecords::fail(std::string_view id, const JobError& error) {
  bool done = false;
  database_.transaction([&] {
    JobEvent event = said("The job failed: " + error.message);
    event.level = "error";
    done = change(id, {.to = JobStatus::failed, .events = {std::move(event)}, .error = error});
  });
  return done;
}

bool JobRecords::any_waits_for_room() {
  return !database_.query("SELECT id FROM tuning_jobs WHERE waits_for_room = 1 LIMIT 1").empty();
}

std::size_t JobRecords::room_again() {
  std::size_t count = 0;
  database_.transaction([&] {
    for (const store::Row& row :
         database_.query("SELECT id FROM tuning_jobs WHERE waits_for_room = 1 ORDER BY sequence"))
      count += change(row.text(0), {.to = JobStatus::queued,
                                    .events = {said("There is room on the disk again")}})
                   ? 1
                   : 0;
  });
  return count;
}

void JobRecords::recover() {
  for (const store::Row& row :
       database_.query("SELECT id FROM tuning_jobs WHERE status = 'running' ORDER BY sequence"))
    requeue(row.text(0), "The server was started anew: the job goes on from its last snapshot");
}

void JobRecords::check_unused(std::string_view file_id) {
  const auto rows = database_.query(
      "SELECT id FROM tuning_jobs WHERE (training_file = ?1 OR validation_file = ?1) AND status "
      "NOT "
      "IN ('succeeded', 'failed', 'cancelled') LIMIT 1",
      {std::string(file_id)});
  if (rows.empty()) return;
  throw Error(Fault::already_exists,
              fmt::format("the file is used by the job {}, which is not over", rows[0].text(0)),
              {.code = "file_in_use", .retry_helps = false});
}

std::size_t JobRecords::open_jobs(std::string_view tenant) {
  const auto rows = database_.query(
      "SELECT COUNT(*) FROM tuning_jobs WHERE tenant = ?1 AND status NOT IN "
      "('succeeded', 'failed', 'cancelled')",
      {std::string(tenant)});
  return static_cast<std::size_t>(rows[0].integer(0));
}

std::optional<std::string> open_job_called(store::Database& database,
                                           std::string_view result_name) {
  const auto rows = database.query(
      "SELECT id FROM tuning_jobs WHERE result_name = ?1 AND status NOT IN "
      "('succeeded', 'failed', 'cancelled') LIMIT 1",
      {std::string(result_name)});
  return rows.empty() ? std::nullopt : std::optional(rows[0].text(0));
}

}  // namespace malina::platform
