// A tuning job as a row of the database.
#pragma once

#include <string>
#include <string_view>

#include "platform/tuning_job.h"
#include "store/database.h"

namespace malina::platform {

// Of the table tuning_jobs, in the order in which job_of() takes them.
extern const std::string_view kJobColumns;

// A row of these columns.
TuningJob job_of(const store::Row& row);

// Within a transaction: a new row, with nothing done yet.
void insert_job(store::Database& database, const TuningJob& job);

// JSON as it is stored. What is no UTF-8 is replaced.
std::string stored_text(const nlohmann::ordered_json& json);

}  // namespace malina::platform
