#include "platform/job_history.h"

#include <fmt/format.h>

#include <chrono>

#include "govern/random_bytes.h"
#include "platform/job_row.h"

namespace malina::platform {

using Json = nlohmann::ordered_json;

namespace {

constexpr std::string_view kEventColumns = "id, created_at, level, type, message, data";

JobEvent event_of(const store::Row& row) {
  return {row.text(0), row.integer(1), row.text(2),
          row.text(3), row.text(4),    Json::parse(row.text(5))};
}

JobCheckpoint checkpoint_of(const store::Row& row) {
  return {row.text(0), row.integer(1), row.text(2), static_cast<std::uint64_t>(row.integer(3)),
          Json::parse(row.text(4))};
}

}  // namespace

std::int64_t JobHistory::now() const { return std::chrono::system_clock::to_time_t(clock_.wall()); }

void JobHistory::add(std::string_view job, std::span<const JobEvent> events) {
  if (events.empty()) return;
  const auto last = database_.query(
      "SELECT COALESCE(MAX(number), 0) FROM tuning_job_events WHERE job = ?1", {std::string(job)});
  std::int64_t number = last[0].integer(0);
  for (const JobEvent& event : events)
    database_.execute(
        "INSERT INTO tuning_job_events (job, number, id, created_at, level, type, message, data) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        {std::string(job), ++number, "ftevent-" + govern::random_letters(24),
         event.created_at != 0 ? event.created_at : now(), event.level, event.type, event.message,
         stored_text(event.data)});
}

void JobHistory::add(std::string_view job, const JobCheckpoint& checkpoint) {
  database_.execute(
      "INSERT INTO tuning_job_checkpoints (job, number, id, created_at, model, step, metrics) "
      "VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6)",
      {std::string(job), "ftckpt-" + govern::random_letters(24), now(), checkpoint.model,
       static_cast<std::int64_t>(checkpoint.step), stored_text(checkpoint.metrics)});
}

std::int64_t JobHistory::number_before(std::string_view table, std::string_view job,
                                       const PageRequest& page, std::string_view what) {
  if (page.after.empty()) return INT64_MAX;
  const auto known =
      database_.query(fmt::format("SELECT number FROM {} WHERE job = ?1 AND id = ?2", table),
                      {std::string(job), page.after});
  if (known.empty()) throw wrong_after(page.after, what);
  return known[0].integer(0);
}

Page<JobEvent> JobHistory::events(std::string_view job, const PageRequest& page) {
  const std::int64_t before = number_before("tuning_job_events", job, page, "an event of this job");
  const auto rows = database_.query(
      fmt::format("SELECT {} FROM tuning_job_events WHERE job = ?1 AND number < ?2 ORDER BY number "
                  "DESC LIMIT ?3",
                  kEventColumns),
      {std::string(job), before, static_cast<std::int64_t>(page.limit) + 1});
  return page_of<JobEvent>(rows, page.limit, event_of);
}

std::vector<JobEvent> JobHistory::metrics(std::string_view job) {
  std::vector<JobEvent> result;
  for (const store::Row& row : database_.query(
           fmt::format("SELECT {} FROM tuning_job_events WHERE job = ?1 AND type = 'metrics' ORDER "
                       "BY number",
                       kEventColumns),
           {std::string(job)}))
    result.push_back(event_of(row));
  return result;
}

Page<JobCheckpoint> JobHistory::checkpoints(std::string_view job, const PageRequest& page) {
  const std::int64_t before =
      number_before("tuning_job_checkpoints", job, page, "a checkpoint of this job");
  const auto rows = database_.query(
      "SELECT id, created_at, model, step, metrics FROM tuning_job_checkpoints WHERE job = ?1 AND "
      "number < ?2 ORDER BY number DESC LIMIT ?3",
      {std::string(job), before, static_cast<std::int64_t>(page.limit) + 1});
  return page_of<JobCheckpoint>(rows, page.limit, checkpoint_of);
}

}  // namespace malina::platform
