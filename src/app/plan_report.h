// What `malina tune --dry-run` prints.
#pragma once

#include "app/console.h"
#include "platform/tuning.h"

namespace malina::app {

// outcome.plan must be there.
void print_plan(const platform::TuneOutcome& outcome, Console& console);

}  // namespace malina::app
