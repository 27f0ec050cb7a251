// What tuning jobs have told: their events and checkpoints, beside the jobs themselves.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "platform/page.h"
#include "store/database.h"

namespace malina::platform {

struct JobEvent {
  std::string id;  // "ftevent-..."
  std::int64_t created_at = 0;
  std::string level = "info";    // "warn", "error"
  std::string type = "message";  // "metrics"
  std::string message;
  nlohmann::ordered_json data = nlohmann::ordered_json::object();
};

struct JobCheckpoint {
  std::string id;  // "ftckpt-..."
  std::int64_t created_at = 0;
  std::string model;  // the name that answers
  std::uint64_t step = 0;
  nlohmann::ordered_json metrics = nlohmann::ordered_json::object();
};

// Safe on many threads. Both outlive it.
class JobHistory {
 public:
  JobHistory(store::Database& database, const base::Clock& clock)
      : database_(database), clock_(clock) {}

  // Within a transaction. Ids are given here, and times where there are none.
  void add(std::string_view job, std::span<const JobEvent> events);
  void add(std::string_view job, const JobCheckpoint& checkpoint);

  // Newest first. Throws invalid_argument where `after` is none of the job's.
  Page<JobEvent> events(std::string_view job, const PageRequest& page);
  Page<JobCheckpoint> checkpoints(std::string_view job, const PageRequest& page);
  std::vector<JobEvent> metrics(std::string_view job);  // events of type metrics, oldest first

 private:
  // The number of `page.after` in one of the two tables; INT64_MAX where the page is the first.
  std::int64_t number_before(std::string_view table, std::string_view job, const PageRequest& page,
                             std::string_view what);
  std::int64_t now() const;

  store::Database& database_;
  const base::Clock& clock_;
};

}  // namespace malina::platform
