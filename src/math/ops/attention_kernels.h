// The inner loops of attention: a few query vectors against the blocks of one sequence's keys and
// values.
#pragma once

#include <array>
#include <cstdint>

#include "math/isa.h"
#include "math/ops/attention.h"

namespace malina::math {

// As many queries as 16 vector registers of 8 lanes hold accumulators for.
inline constexpr std::size_t kTileQueries = 6;

// What is left of a span of positions for one query: the greatest score, the sum of
// exp(score - greatest), and the values weighted by it. `greatest` is -infinity where the query
// sees nothing of the span.
//   floats: [greatest, sum, weighted values (padded to 16)]
inline constexpr std::size_t kPartialHeader = 2;

struct QueryTile {
  std::size_t count = 0;
  std::array<const float*, kTileQueries> queries{};  // head_width floats each
  std::array<std::uint32_t, kTileQueries> positions{};
  std::array<float*, kTileQueries> partials{};  // kPartialHeader + padded head width
  bool begun = false;  // the partials hold what earlier blocks of the span gave
};

struct KeyBlocks {
  const std::byte* pool;  // start of this layer and head within page 0
  std::size_t page_bytes;
  const std::uint32_t* pages;
  std::uint32_t first_page;
  KvLayout layout;
};

struct AttentionKernels {
  // Sets the partials of the tile's queries over blocks [first_block, last_block].
  void (*attend)(const QueryTile&, const KeyBlocks&, std::uint32_t first_block,
                 std::uint32_t last_block, std::uint32_t window, float scale);
  // into = into merged with from (a later span). width: of the weighted values, a multiple of 16.
  void (*merge)(float* into, const float* from, std::size_t width);
  // output = weighted values / sum.
  void (*finish)(const float* partial, std::size_t head_width, float* output);
  // One position's key and value of one head into its place in a page.
  void (*store)(const KvLayout&, const float* key, const float* value, std::byte* head,
                std::size_t slot);
};

const AttentionKernels& attention_kernels(Isa isa);

// Rows of values are padded so that kernels never need a part of a vector.
constexpr std::size_t padded_width(std::size_t head_width) { return (head_width + 15) / 16 * 16; }

}  // namespace malina::math
