// The data of a tuning job, within tune/tuning*.cpp.
#pragma once

#include <cstdint>
#include <vector>

#include "tune/tuning.h"

namespace malina::tune {

// One part of the data.
struct Tuning::Part {
  LabelledTexts data;
  std::vector<std::uint32_t> classes;
  std::vector<TrainingExample> examples;  // empty until they are needed
  std::vector<float> features;            // of the probe; empty until they are needed
  std::size_t longest = 0;                // example, in tokens
};

}  // namespace malina::tune
