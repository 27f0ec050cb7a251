// A check of a data set, for people at a terminal.
#pragma once

#include "app/console.h"
#include "platform/data_sets.h"

namespace malina::app {

// The facts of each part, then findings, and the verdict last, where it is seen.
void print_data_report(const platform::DataReport& report, Console& console);

}  // namespace malina::app
