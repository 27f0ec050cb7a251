// How what a tuning job is asked for becomes what is tuned.
#pragma once

#include "platform/tuning.h"
#include "platform/tuning_job.h"

namespace malina::platform {

// Whether all weights are trained: the result is a model of its own beside its base.
bool is_full(const TuningJob& job);

// Method and recipes, as `malina tune` has them where the job asks for nothing else; the request
// has its files. The data tell which of the recipes counts. Throws invalid_argument for a technique
// that these data cannot have.
void set_recipes(const TuningJob& job, TuneRequest& request);

}  // namespace malina::platform
