#include "platform/job_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "govern/random_bytes.h"

namespace malina::platform {

using base::Error;
using base::Fault;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::pair<JobStatus, std::string_view> kStatus[] = {
    {JobStatus::validating_files, "validating_files"},
    {JobStatus::queued, "queued"},
    {JobStatus::running, "running"},
    {JobStatus::paused, "paused"},
    {JobStatus::succeeded, "succeeded"},
    {JobStatus::failed, "failed"},
    {JobStatus::cancelled, "cancelled"}};

constexpr std::string_view kColumns =
    "id, sequence, tenant, created_by, created_at, asked_model, model, model_digest, "
    "training_file, training_digest, validation_file, validation_digest, suffix, result_name, "
    "hyperparameters, metadata, seed, fingerprint, status, validated, started, waits_for_room, "
    "steps, trained_tokens, estimated_finish, finished_at, result_file, error_code, "
    "error_message, error_param";

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json json_of(const Hyperparameters& parameters) {
  Json json = Json::object();
  if (parameters.batch_size) json["batch_size"] = *parameters.batch_size;
  if (parameters.learning_rate_multiplier)
    json["learning_rate_multiplier"] = *parameters.learning_rate_multiplier;
  if (parameters.epochs) json["n_epochs"] = *parameters.epochs;
  return json;
}

Hyperparameters hyperparameters_of(const Json& json) {
  Hyperparameters result;
  if (json.contains("batch_size")) result.batch_size = json["batch_size"].get<std::int64_t>();
  if (json.contains("learning_rate_multiplier"))
    result.learning_rate_multiplier = json["learning_rate_multiplier"].get<double>();
  if (json.contains("n_epochs")) result.epochs = json["n_epochs"].get<std::int64_t>();
  return result;
}

std::optional<std::int64_t> optional_integer(const store::Row& row, std::size_t column) {
  return row.is_null(column) ? std::nullopt : std::optional(row.integer(column));
}

TuningJob job_of(const store::Row& row) {
  TuningJob job;
  job.id = row.text(0);
  job.sequence = row.integer(1);
  job.tenant = row.text(2);
  job.created_by = row.text(3);
  job.created_at = row.integer(4);
  job.asked_model = row.text(5);
  job.model = row.text(6);
  job.model_digest = row.text(7);
  job.training_file = row.text(8);
  job.training_digest = row.text(9);
  job.validation_file = row.text(10);
  job.validation_digest = row.text(11);
  job.suffix = row.text(12);
  job.result_name = row.text(13);
  job.hyperparameters = hyperparameters_of(Json::parse(row.text(14)));
  job.metadata = Json::parse(row.text(15));
  job.seed = row.integer(16);
  job.fingerprint = row.text(17);
  job.status = job_status(row.text(18));
  job.validated = row.integer(19) != 0;
  job.started = row.integer(20) != 0;
  job.waits_for_room = row.integer(21) != 0;
  job.steps = static_cast<std::uint64_t>(row.integer(22));
  job.trained_tokens = static_cast<std::uint64_t>(row.integer(23));
  job.estimated_finish = optional_integer(row, 24);
  job.finished_at = optional_integer(row, 25);
  job.result_file = row.text(26);
  if (job.status == JobStatus::failed) job.error = {row.text(27), row.text(28), row.text(29)};
  return job;
}

Error no_job(std::string_view id) {
  return Error(Fault::not_found,
               fmt::format("there is no fine-tuning job '{}'",
                           id.substr(0, govern::AuditEntry::kLongestText)),
               {.code = "fine_tune_not_found"});
}

Error wrong_after(std::string_view after, std::string_view what) {
  return Error(Fault::invalid_argument,
               fmt::format("'after' must be the id of {}; there is no '{}'", what,
                           after.substr(0, govern::AuditEntry::kLongestText)),
               {.code = "invalid_value", .parameter = "after"});
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

std::string_view name(JobStatus status) {
  for (const auto& [each, word] : kStatus)
    if (each == status) return word;
  return "";
}

JobStatus job_status(std::string_view name) {
  for (const auto& [status, word] : kStatus)
    if (word == name) return status;
  throw Error(Fault::internal, fmt::format("'{}' is no status of a job", name));
}

bool is_over(JobStatus status) {
  return status == JobStatus::succeeded || status == JobStatus::failed ||
         status == JobStatus::cancelled;
}

bool may_become(JobStatus from, JobStatus to) {
  if (is_over(from) || from == to) return false;
  switch (to) {
    case JobStatus::cancelled:
      return true;
    case JobStatus::paused:
      return true;
    case JobStatus::validating_files:
      return from == JobStatus::paused;
    case JobStatus::queued:
      return true;  // validated, resumed, or the server ended while it ran
    case JobStatus::running:
      return from == JobStatus::queued;
    case JobStatus::succeeded:  // the pause came too late, perhaps with a resume behind it
      return from != JobStatus::validating_files;
    case JobStatus::failed:
      return true;
  }
  return false;
}

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

// Within a transaction.
void JobRecords::add_events(std::string_view id, std::span<const JobEvent> events) {
  if (events.empty()) return;
  const auto last = database_.query(
      "SELECT COALESCE(MAX(number), 0) FROM tuning_job_events WHERE job = ?1", {std::string(id)});
  std::int64_t number = last[0].integer(0);
  for (const JobEvent& event : events)
    database_.execute(
        "INSERT INTO tuning_job_events (job, number, id, created_at, level, type, message, data) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        {std::string(id), ++number, "ftevent-" + govern::random_letters(24),
         event.created_at != 0 ? event.created_at : now(), event.level, event.type, event.message,
         text_of(event.data)});
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
                    kColumns),
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
    database_.execute(
        "INSERT INTO tuning_jobs (id, sequence, tenant, created_by, created_at, asked_model, "
        "model, model_digest, training_file, training_digest, validation_file, "
        "validation_digest, suffix, result_name, hyperparameters, metadata, seed, fingerprint, "
        "status, validated, started, waits_for_room, steps, trained_tokens, result_file, "
        "error_code, error_message, error_param) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
        "?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, 0, 0, 0, 0, 0, '', '', '', '')",
        {job.id, job.sequence, job.tenant, job.created_by, job.created_at, job.asked_model,
         job.model, job.model_digest, job.training_file, job.training_digest, job.validation_file,
         job.validation_digest, job.suffix, job.result_name, text_of(json_of(job.hyperparameters)),
         text_of(job.metadata), job.seed, job.fingerprint, std::string(name(job.status))});
    add_events(job.id, std::vector{said("Created fine-tuning job: " + job.id),
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
      fmt::format("SELECT {} FROM tuning_jobs WHERE id = ?1", kColumns), {std::string(id)});
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
                    kColumns, page.ascending ? ">" : "<", page.ascending ? "ASC" : "DESC"),
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

Page<JobEvent> JobRecords::events(const TuningJob& job, const PageRequest& page) {
  std::int64_t before = INT64_MAX;
  if (!page.after.empty()) {
    const auto known = database_.query(
        "SELECT number FROM tuning_job_events WHERE job = ?1 AND id = ?2", {job.id, page.after});
    if (known.empty()) throw wrong_after(page.after, "an event of this job");
    before = known[0].integer(0);
  }
  const auto rows = database_.query(
      "SELECT id, created_at, level, type, message, data FROM tuning_job_events WHERE job = ?1 "
      "AND number < ?2 ORDER BY number DESC LIMIT ?3",
      {job.id, before, static_cast<std::int64_t>(page.limit) + 1});
  Page<JobEvent> result;
  result.has_more = rows.size() > page.limit;
  for (std::size_t i = 0; i < std::min(rows.size(), page.limit); ++i)
    result.items.push_back({rows[i].text(0), rows[i].integer(1), rows[i].text(2), rows[i].text(3),
                            rows[i].text(4), Json::parse(rows[i].text(5))});
  return result;
}

std::vector<JobEvent> JobRecords::metrics(std::string_view id) {
  std::vector<JobEvent> result;
  for (const store::Row& row : database_.query(
           "SELECT id, created_at, level, type, message, data FROM tuning_job_events WHERE job = "
           "?1 AND type = 'metrics' ORDER BY number",
           {std::string(id)}))
    result.push_back({row.text(0), row.integer(1), row.text(2), row.text(3), row.text(4),
                      Json::parse(row.text(5))});
  return result;
}

Page<JobCheckpoint> JobRecords::checkpoints(const TuningJob& job, const PageRequest& page) {
  std::int64_t before = INT64_MAX;
  if (!page.after.empty()) {
    const auto known =
        database_.query("SELECT number FROM tuning_job_checkpoints WHERE job = ?1 AND id = ?2",
                        {job.id, page.after});
    if (known.empty()) throw wrong_after(page.after, "a checkpoint of this job");
    before = known[0].integer(0);
  }
  const auto rows = database_.query(
      "SELECT id, created_at, model, step, metrics FROM tuning_job_checkpoints WHERE job = ?1 AND "
      "number < ?2 ORDER BY number DESC LIMIT ?3",
      {job.id, before, static_cast<std::int64_t>(page.limit) + 1});
  Page<JobCheckpoint> result;
  result.has_more = rows.size() > page.limit;
  for (std::size_t i = 0; i < std::min(rows.size(), page.limit); ++i)
    result.items.push_back({rows[i].text(0), rows[i].integer(1), rows[i].text(2),
                            static_cast<std::uint64_t>(rows[i].integer(3)),
                            Json::parse(rows[i].text(4))});
  return result;
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
  add_events(id, change.events);
  if (change.checkpoint)
    database_.execute(
        "INSERT INTO tuning_job_checkpoints (job, number, id, created_at, model, step, metrics) "
        "VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6)",
        {std::string(id), "ftckpt-" + govern::random_letters(24), now(), change.checkpoint->model,
         static_cast<std::int64_t>(change.checkpoint->step), text_of(change.checkpoint->metrics)});
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
                  kColumns),
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
    add_events(id, events);
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

bool JobRecords::name_is_taken(std::string_view result_name) {
  return !database_
              .query(
                  "SELECT id FROM tuning_jobs WHERE result_name = ?1 AND status NOT IN "
                  "('succeeded', 'failed', 'cancelled') LIMIT 1",
                  {std::string(result_name)})
              .empty();
}

}  // namespace malina::platform
