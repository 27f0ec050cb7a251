// Which queries of a batch read the same keys and values, and so read them once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "math/ops/attention.h"

namespace malina::math {

// Some queries of one key head: rows [first_row, ...) times the heads that share it, row by row.
struct AttentionTile {
  std::size_t kv_head, first_row;
  std::size_t first_query, count;  // counted from first_row; 1 to kTileQueries
  // Rows of different sequences have the same pages below this block (and above the first page),
  // and see all of them that their window does: they were forked from one, or began with what was
  // there. 0 where all rows are of one sequence.
  std::uint32_t shared_blocks;
};

// Whether `next` is the same sequence's next position.
bool continues(const KvRow& row, const KvRow& next);
// Blocks of whole pages before both rows' positions that are the same pages, from the first page
// on: the block after the last of them, 0 where there are none.
std::uint32_t common_blocks(const KvRow& one, const KvRow& other);

// `sharing`: query heads of a key head.
std::vector<AttentionTile> attention_tiles(std::span<const KvRow> rows, std::size_t kv_heads,
                                           std::size_t sharing);

}  // namespace malina::math
