// What a tuning job will take, before it is run.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace malina::tune {

struct TuningPlan {
  std::size_t epochs = 0, batch = 0;  // of the adapter; 0: none is trained
  std::uint64_t steps = 0;            // of all epochs
  std::uint64_t positions = 0;        // tokens of one epoch
  double positions_per_second = 0;    // of a training step, measured

  struct Stage {
    std::string name;
    double seconds;
  };
  std::vector<Stage> stages;  // in order; training: all epochs, though it may stop early
  double seconds = 0;         // in all
  // The last rung of `automatic`, which is climbed to only where the adapter with a head beats what
  // is cheaper. It is one of the stages, too.
  struct Labels {
    double seconds = 0;
    std::uint64_t peak_bytes = 0;  // in all, while it is trained or scored
  };
  std::optional<Labels> labels;
  std::string labels_left_out;  // why `automatic` will not climb to it; "" where it may

  struct Memory {
    std::string name;
    std::uint64_t bytes;
  };
  std::vector<Memory> memory;      // what is resident at the peak
  std::uint64_t peak_bytes = 0;    // in all
  std::uint64_t usable_bytes = 0;  // that the machine has for it, beside what is resident already
  bool fits() const { return peak_bytes <= usable_bytes; }
};

// Under the keys of docs/reference/json.md.
nlohmann::ordered_json plan_json(const TuningPlan& plan);

}  // namespace malina::tune
