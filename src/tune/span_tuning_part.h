// One part of the data of a tuning job for spans, within tune/span_*.cpp.
#pragma once

#include "tune/span_tuning.h"

namespace malina::tune {

struct SpanTuning::Part {
  SpanTexts data;
  SpanExamples encoded;  // empty until they are needed
};

}  // namespace malina::tune
