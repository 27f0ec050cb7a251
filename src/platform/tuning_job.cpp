#include "platform/tuning_job.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"

namespace malina::platform {

namespace {

constexpr std::pair<JobStatus, std::string_view> kStatus[] = {
    {JobStatus::validating_files, "validating_files"},
    {JobStatus::queued, "queued"},
    {JobStatus::running, "running"},
    {JobStatus::paused, "paused"},
    {JobStatus::succeeded, "succeeded"},
    {JobStatus::failed, "failed"},
    {JobStatus::cancelled, "cancelled"}};

}  // namespace

std::string_view name(JobStatus status) {
  for (const auto& [each, word] : kStatus)
    if (each == status) return word;
  return "";
}

JobStatus job_status(std::string_view name) {
  for (const auto& [status, word] : kStatus)
    if (word == name) return status;
  throw base::Error(base::Fault::internal, fmt::format("'{}' is no status of a job", name));
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

}  // namespace malina::platform
