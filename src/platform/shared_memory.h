// Memory of which jobs take their part together with whoever else does.
#pragma once

#include <cstdint>
#include <functional>

namespace malina::platform {

// Both functions, or neither: then there is no bound. Safe on many threads.
struct SharedMemory {
  std::uint64_t bytes = 0;                                // in all
  std::function<bool(std::uint64_t bytes)> reserve = {};  // false: others leave too little now
  std::function<void(std::uint64_t bytes)> give_back = {};
};

// What was reserved of it: given back when this goes, whatever ended the work. It must outlive
// this.
class TakenMemory {
 public:
  explicit TakenMemory(const SharedMemory& memory) : memory_(memory) {}
  ~TakenMemory() {
    if (bytes_ > 0) memory_.give_back(bytes_);
  }
  TakenMemory(const TakenMemory&) = delete;
  TakenMemory& operator=(const TakenMemory&) = delete;

  void add(std::uint64_t bytes) { bytes_ += bytes; }

 private:
  const SharedMemory& memory_;
  std::uint64_t bytes_ = 0;
};

}  // namespace malina::platform
