// How the writers of block encodings choose scales and codes: a search for the least sum of squared
// errors, weighted by column where weights are given. A format says in a SearchShape what it can
// write and stores what was found.
//
// Without importance every value counts the same. With it, an error in column k of a row counts
// importance[k] * sqrt(m + x^2), m the mean square of the block's values: large values are few, and
// those around them hide less of an error (as llama.cpp weighs them).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "math/encoding.h"
#include "math/encodings/search_kernels.h"

namespace malina::math {

struct SearchShape {
  std::size_t block_values;  // 32 or 256
  std::size_t sub_values;    // 16 or 32: values with one scale
  IntegerRange codes;        // least is 0 where there is a minimum
  // Of the whole numbers that multiply the block's scale (and its minimum, from 0); both 1 where a
  // block has one scale alone.
  IntegerRange scales{1, 1};
  bool has_minimum = false;
};

// A value is scale * scales[s] * (code + codes.least) - minimum * minimums[s], s its sub-block.
struct FoundBlock {
  float scale = 0, minimum = 0;  // numbers of half precision
  std::array<int, kLanes> scales{}, minimums{};
  std::array<std::uint8_t, 256> codes{};  // in the order of the values
};

// One thread. The same bits on every instruction set.
class BlockSearch {
 public:
  explicit BlockSearch(const SearchShape& shape, Isa isa = selected_isa());

  // Values that one call of run() takes at most; whole blocks.
  std::size_t batch_values() const { return kLanes * shape_.sub_values; }
  // values: `count` finite numbers, whole blocks, at most a batch. importance: null, or as many
  // numbers >= 0, which are multiplied with importance_factor. found: one for each block.
  void run(const float* values, const float* importance, float importance_factor, std::size_t count,
           FoundBlock* found);

 private:
  std::size_t lanes_of_block() const { return shape_.block_values / shape_.sub_values; }
  void place(const float* values, const float* importance, float factor, std::size_t count);
  void find_single_scales();
  void find_sub_scales();
  void adjust();
  void first_steps(const Lanes& scale, const Lanes& minimum);
  void better_steps(std::size_t first_lane);
  float error_of(const SubScales& sub, std::size_t first_lane) const;
  void restore(std::size_t first_lane, const SubScales& before, const Lanes& step,
               const Lanes& minimum_step);
  void collect(std::size_t count, FoundBlock* found) const;

  SearchShape shape_;
  const SearchKernels& kernels_;
  SearchBlocks blocks_;
  Lanes step_, minimum_step_;  // of each lane's block
  SubScales sub_;
  float codes_[kBlock * kLanes] = {};
};

// The factor that makes the mean of a row's importance 1; 1 where all are 0.
float importance_factor(const float* importance, std::size_t columns);

// The writer of a format with kSearch and store(const FoundBlock&, std::byte* block).
template <class Format>
void encode_by_search(const float* row, std::size_t columns, const float* importance,
                      std::byte* file_row) {
  BlockSearch search(Format::kSearch);
  std::array<FoundBlock, kLanes> found;
  const float factor = importance == nullptr ? 1 : importance_factor(importance, columns);
  for (std::size_t first = 0; first < columns; first += search.batch_values()) {
    const std::size_t count = std::min(search.batch_values(), columns - first);
    search.run(row + first, importance == nullptr ? nullptr : importance + first, factor, count,
               found.data());
    for (std::size_t b = 0; b < count / Format::kValues; ++b)
      Format::store(found[b], file_row + (first / Format::kValues + b) * Format::kBytes);
  }
}

}  // namespace malina::math
