// What `malina tune` prints of a model that was taught to write.
#pragma once

#include "app/console.h"
#include "platform/tuning.h"

namespace malina::app {

void print_left_out(const tune::GenerationReport& report, Console& console);
// outcome.generation must be there. `full`: all weights were trained, not an adapter.
void print_generation(const platform::TuneOutcome& outcome, Console& console, bool full);

}  // namespace malina::app
