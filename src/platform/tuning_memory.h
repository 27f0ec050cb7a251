// The memory of a tuning job: what a server's models leave to it, or what the machine has.
#pragma once

#include <cstdint>

#include "platform/tuning.h"

namespace malina::platform {

// Counts what a job has taken of its request's grant. One thread.
class TuningMemory {
 public:
  // The request outlives it.
  explicit TuningMemory(const TuneRequest& request) : grant_(request.memory) {}

  // Before the weights (null: there are none) and the data are read, which are the part that stays.
  // Waits where others have the memory; throws what MemoryGrant::take throws, and out_of_memory
  // where the grant never suffices.
  void take_inputs(const ModelFile* file, const tune::TuningRequest& data);
  // That the rest of the job may take.
  std::uint64_t left() const;
  void take(std::uint64_t bytes);  // of it

 private:
  const MemoryGrant& grant_;
  std::uint64_t taken_ = 0;
};

}  // namespace malina::platform
