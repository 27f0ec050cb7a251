// Seeded random numbers that are the same on every machine: xoshiro256** (Blackman and Vigna, 2018,
// public domain reference), seeded by SplitMix64.
#pragma once

#include <array>
#include <cstdint>

namespace malina::base {

class Random {
 public:
  explicit Random(std::uint64_t seed) {
    for (auto& word : state_) {
      seed += 0x9E3779B97F4A7C15ULL;
      std::uint64_t mixed = seed;
      mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL;
      mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL;
      word = mixed ^ (mixed >> 31);
    }
  }

  std::uint64_t next() {
    const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  // Uniform in [0, 1), of 53 bits.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  float uniform(float low, float high) {
    return low + (high - low) * static_cast<float>(uniform());
  }
  // Uniform in [0, bound); bound > 0. The bias is below 2^-53 for the small bounds it is used with.
  std::uint64_t below(std::uint64_t bound) {
    return static_cast<std::uint64_t>(uniform() * static_cast<double>(bound));
  }

 private:
  static std::uint64_t rotate(std::uint64_t value, int count) {
    return (value << count) | (value >> (64 - count));
  }
  std::array<std::uint64_t, 4> state_;
};

}  // namespace malina::base
