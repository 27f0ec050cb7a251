// What `malina tune` prints of a tagger.
#pragma once

#include "app/console.h"
#include "platform/tuning.h"

namespace malina::app {

// outcome.spans must be there.
void print_spans(const platform::TuneOutcome& outcome, Console& console);

}  // namespace malina::app
