// What `malina tune` prints of a model that was taught to write.
#pragma once

#include "app/console.h"
#include "platform/tuning.h"

namespace malina::app {

// outcome.generation must be there.
void print_generation_plan(const platform::TuneOutcome& outcome, Console& console);
// `full`: all weights were trained, not an adapter.
void print_generation(const platform::TuneOutcome& outcome, Console& console, bool full);

}  // namespace malina::app
