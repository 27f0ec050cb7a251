#include "math/ops/attention_tiles.h"

#include <algorithm>

#include "math/ops/attention_kernels.h"

namespace malina::math {
namespace {

// Fewer are not worth a tile in two steps.
constexpr std::uint32_t kLeastShared = 4;

std::size_t end_of_run(std::span<const KvRow> rows, std::size_t first) {
  std::size_t end = first + 1;
  while (end < rows.size() && continues(rows[end - 1], rows[end])) ++end;
  return end;
}

// Rows of runs that follow each other and have pages in common.
struct Group {
  std::size_t end;
  std::uint32_t shared;
};

Group group_from(std::span<const KvRow> rows, std::size_t first) {
  Group group{end_of_run(rows, first), 0};
  while (group.end < rows.size()) {
    std::uint32_t common = common_blocks(rows[first], rows[group.end]);
    if (group.shared != 0) common = std::min(common, group.shared);
    // One that has little in common with the others would take from them what they have.
    if (common < rows[first].first_page + kLeastShared || 2 * common < group.shared) break;
    group.shared = common;
    group.end = end_of_run(rows, group.end);
  }
  return group;
}

}  // namespace

bool continues(const KvRow& row, const KvRow& next) {
  return row.pages == next.pages && row.first_page == next.first_page &&
         next.position == row.position + 1;
}

std::uint32_t common_blocks(const KvRow& one, const KvRow& other) {
  const std::uint32_t end =
      std::min(one.position, other.position) / static_cast<std::uint32_t>(kPagePositions);
  if (one.first_page != other.first_page || end <= one.first_page) return 0;
  const auto [last, differs] =
      std::mismatch(one.pages, one.pages + (end - one.first_page), other.pages);
  return last == one.pages ? 0 : one.first_page + static_cast<std::uint32_t>(last - one.pages);
}

std::vector<AttentionTile> attention_tiles(std::span<const KvRow> rows, std::size_t kv_heads,
                                           std::size_t sharing) {
  std::vector<AttentionTile> tiles;
  for (std::size_t first = 0; first < rows.size();) {
    const Group group = group_from(rows, first);
    const std::size_t queries = (group.end - first) * sharing;
    for (std::size_t query = 0; query < queries; query += kTileQueries) {
      const std::size_t count = std::min(kTileQueries, queries - query);
      const std::size_t from = first + query / sharing;
      const bool one_run = end_of_run(rows, from) > first + (query + count - 1) / sharing;
      for (std::size_t head = 0; head < kv_heads; ++head)
        tiles.push_back({head, first, query, count, one_run ? 0 : group.shared});
    }
    first = group.end;
  }
  return tiles;
}

}  // namespace malina::math
