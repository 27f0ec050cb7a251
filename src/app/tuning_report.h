// What a tuning job found out, for the terminal.
#pragma once

#include <string>

#include "app/console.h"
#include "platform/tuning.h"

namespace malina::app {

std::string percent(double share);  // "91.3 %"

void print_tuning_report(const platform::TuneOutcome& outcome, Console& console);

}  // namespace malina::app
