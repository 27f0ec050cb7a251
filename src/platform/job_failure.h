// Why a tuning job failed, in the words of its owner's API.
#pragma once

#include <string>

#include "base/error.h"
#include "platform/data_sets.h"
#include "platform/tuning_job.h"

namespace malina::platform {

// What the gate refuses: a code of the file that is wrong, every finding, and the first rows that
// are wrong by their lines. Only for a report that refuses.
JobError refusal_of(const DataReport& report);

// What ended the work. `file`: the parameter of the file that the message names; "" where it names
// none.
JobError failure_of(const base::Error& error, const std::string& file);

}  // namespace malina::platform
