#include "math/ops/attention.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "math/ops/attention_kernels.h"
#include "math/ops/attention_tiles.h"

namespace malina::math {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();  // of a query in a span
constexpr std::uint32_t kSpanBlocks = kSpanPositions / kPagePositions;
// Batches of up to this many rows spread their spans over threads; larger ones have rows enough.
constexpr std::size_t kSplitRows = 4;

std::size_t partial_width(std::size_t head_width) {
  return kPartialHeader + padded_width(head_width);
}

std::size_t spans_to(std::size_t context) {
  return (context + kSpanPositions - 1) / kSpanPositions + 1;
}

const std::byte* head_base(const KvPages& pages, std::size_t head) {
  return pages.pool->host() + pages.layer_offset + head * 2 * pages.layout.head_bytes();
}

std::uint32_t first_block(std::uint32_t position, std::uint32_t window) {
  return window != 0 && position + 1 > window ? (position + 1 - window) / kPagePositions : 0;
}

// One call of an Attention operation.
class Pass {
 public:
  Pass(const Attention& operation, CpuContext& context)
      : operation_(operation),
        kernels_(attention_kernels(context.isa)),
        pool_(context.pool),
        width_(operation.pages.layout.head_width),
        sharing_(operation.heads / operation.pages.layout.kv_heads),
        tiles_(attention_tiles(operation.rows, operation.pages.layout.kv_heads, sharing_)) {}

  void run() {
    if (operation_.rows.size() <= kSplitRows)
      run_split();
    else
      pool_.run(tiles_.size(), [&](std::size_t index) { run_whole(tiles_[index]); });
  }

 private:
  std::size_t row_of(const AttentionTile& tile, std::size_t query) const {
    return tile.first_row + (tile.first_query + query) / sharing_;
  }
  std::size_t head_of(const AttentionTile& tile, std::size_t query) const {
    return tile.kv_head * sharing_ + (tile.first_query + query) % sharing_;
  }
  float* output_of(const AttentionTile& tile, std::size_t query) const {
    return host_floats(operation_.output) + row_of(tile, query) * operation_.output.stride +
           head_of(tile, query) * width_;
  }

  QueryTile queries_of(const AttentionTile& tile) const {
    QueryTile result{
        .count = tile.count, .queries = {}, .positions = {}, .partials = {}, .begun = false};
    for (std::size_t q = 0; q < tile.count; ++q) {
      result.queries[q] = host_floats(operation_.query) +
                          row_of(tile, q) * operation_.query.stride + head_of(tile, q) * width_;
      result.positions[q] = operation_.rows[row_of(tile, q)].position;
    }
    return result;
  }

  KeyBlocks keys_of(const AttentionTile& tile, std::size_t query) const {
    const KvRow& row = operation_.rows[row_of(tile, query)];
    return {head_base(operation_.pages, tile.kv_head), operation_.pages.page_bytes, row.pages,
            row.first_page, operation_.pages.layout};
  }

  // The blocks that any of the queries sees.
  std::pair<std::uint32_t, std::uint32_t> blocks_of(const QueryTile& queries) const {
    const auto [least, most] =
        std::minmax_element(queries.positions.begin(), queries.positions.begin() + queries.count);
    return {first_block(*least, operation_.window),
            *most / static_cast<std::uint32_t>(kPagePositions)};
  }

  void attend(const QueryTile& queries, const KeyBlocks& keys, std::uint32_t first,
              std::uint32_t last) const {
    kernels_.attend(queries, keys, first, last, operation_.window, operation_.scale);
  }

  // Sets the partials of all queries. What the rows share comes first, as their positions do.
  void attend_span(const AttentionTile& tile, QueryTile queries, std::uint32_t span) const {
    const auto [first, last] = blocks_of(queries);
    const std::uint32_t begin = std::max(first, span * kSpanBlocks);
    const std::uint32_t end = std::min(last, (span + 1) * kSpanBlocks - 1);
    const std::uint32_t own = std::max(begin, tile.shared_blocks);
    queries.begun = begin < own;
    if (queries.begun) {
      QueryTile fresh = queries;
      fresh.begun = false;
      attend(fresh, keys_of(tile, 0), begin, std::min(end, own - 1));
    }
    if (tile.shared_blocks == 0)
      attend(queries, keys_of(tile, 0), begin, end);
    else
      for (std::size_t q = 0; q < tile.count;) q = attend_own(tile, queries, q, own, end);
  }

  // The queries of one sequence from `first` on, over its own blocks; returns where the next begin.
  std::size_t attend_own(const AttentionTile& tile, const QueryTile& queries, std::size_t first,
                         std::uint32_t begin, std::uint32_t end) const {
    const KvRow* pages = &operation_.rows[row_of(tile, first)];
    QueryTile part = queries;
    part.count = 0;
    std::size_t q = first;
    for (; q < tile.count && operation_.rows[row_of(tile, q)].pages == pages->pages; ++q) {
      part.queries[part.count] = queries.queries[q];
      part.positions[part.count] = queries.positions[q];
      part.partials[part.count++] = queries.partials[q];
    }
    const auto [from, to] = blocks_of(part);
    const std::uint32_t last = std::min(to, end);
    if (std::max(begin, from) <= last)
      attend(part, keys_of(tile, first), std::max(begin, from), last);
    else if (!part.begun)
      for (std::size_t i = 0; i < part.count; ++i) part.partials[i][0] = kNothing;
    return q;
  }

  void run_whole(const AttentionTile& tile) const {
    const std::size_t size = partial_width(width_);
    thread_local std::vector<float> scratch;
    scratch.resize(2 * kTileQueries * size);
    QueryTile queries = queries_of(tile);
    const auto [first, last] = blocks_of(queries);
    const std::uint32_t first_span = first / kSpanBlocks;
    for (std::uint32_t span = first_span; span <= last / kSpanBlocks; ++span) {
      float* target = scratch.data() + (span == first_span ? 0 : kTileQueries * size);
      for (std::size_t q = 0; q < tile.count; ++q) queries.partials[q] = target + q * size;
      attend_span(tile, queries, span);
      if (span == first_span) continue;
      for (std::size_t q = 0; q < tile.count; ++q)
        kernels_.merge(scratch.data() + q * size, queries.partials[q], padded_width(width_));
    }
    for (std::size_t q = 0; q < tile.count; ++q)
      kernels_.finish(scratch.data() + q * size, width_, output_of(tile, q));
  }

  void run_split() {
    struct Part {
      const AttentionTile* tile;
      std::uint32_t span;
      float* partials;
    };
    const std::size_t size = partial_width(width_);
    std::vector<Part> parts;
    float* next = host_floats(operation_.partials);
    for (const AttentionTile& tile : tiles_) {
      const auto [first, last] = blocks_of(queries_of(tile));
      for (std::uint32_t span = first / kSpanBlocks; span <= last / kSpanBlocks; ++span) {
        parts.push_back({&tile, span, next});
        next += tile.count * size;
      }
    }
    pool_.run(parts.size(), [&](std::size_t index) {
      const Part& part = parts[index];
      QueryTile queries = queries_of(*part.tile);
      for (std::size_t q = 0; q < queries.count; ++q)
        queries.partials[q] = part.partials + q * size;
      attend_span(*part.tile, queries, part.span);
    });
    for (std::size_t first = 0; first < parts.size();) {
      std::size_t last = first + 1;
      for (; last < parts.size() && parts[last].tile == parts[first].tile; ++last)
        for (std::size_t q = 0; q < parts[first].tile->count; ++q)
          kernels_.merge(parts[first].partials + q * size, parts[last].partials + q * size,
                         padded_width(width_));
      for (std::size_t q = 0; q < parts[first].tile->count; ++q)
        kernels_.finish(parts[first].partials + q * size, width_, output_of(*parts[first].tile, q));
      first = last;
    }
  }

  const Attention& operation_;
  const AttentionKernels& kernels_;
  base::ThreadPool& pool_;
  std::size_t width_, sharing_;
  std::vector<AttentionTile> tiles_;
};

std::size_t visible_positions(const KvRow& row, std::uint32_t window) {
  const std::size_t all = std::size_t{row.position} + 1;
  return window == 0 ? all : std::min<std::size_t>(all, window);
}

}  // namespace

std::string_view name(KvType type) {
  switch (type) {
    case KvType::f32:
      return "f32";
    case KvType::f16:
      return "f16";
    case KvType::q8_0:
      return "q8_0";
  }
  return "f16";
}

std::size_t KvLayout::head_bytes() const {
  const std::size_t padded = padded_width(head_width) * kPagePositions;
  switch (type) {
    case KvType::f32:
      return padded * sizeof(float);
    case KvType::f16:
      return padded * sizeof(std::uint16_t);
    case KvType::q8_0:
      return head_width * kPagePositions / kBlock * (kBlock + 2);
  }
  return 0;
}

void StoreKeysValues::check() const {
  require(keys.rows == rows.size() && values.rows == rows.size() &&
              keys.columns == values.columns &&
              keys.columns == pages.layout.kv_heads * pages.layout.head_width,
          kName, "shapes differ");
  for (const KvCopy& copy : copies) require(copy.row < rows.size(), kName, "a copy of no row");
}

Cost StoreKeysValues::cost() const {
  const std::size_t places = rows.size() + copies.size();
  return {keys.bytes() + values.bytes(), places * pages.layout.layer_bytes() / kPagePositions, 0};
}

void StoreKeysValues::compute(CpuContext& context) const {
  const auto store = attention_kernels(context.isa).store;
  const std::size_t width = pages.layout.head_width;
  const auto one = [&](std::size_t index) {
    const bool copied = index >= rows.size();
    const KvRow& row = copied ? copies[index - rows.size()].to : rows[index];
    const std::size_t i = copied ? copies[index - rows.size()].row : index;
    const std::size_t page = row.pages[row.position / kPagePositions - row.first_page];
    for (std::size_t head = 0; head < pages.layout.kv_heads; ++head) {
      std::byte* place = pages.pool->host() + pages.layer_offset + page * pages.page_bytes +
                         head * 2 * pages.layout.head_bytes();
      store(pages.layout, host_floats(keys) + i * keys.stride + head * width,
            host_floats(values) + i * values.stride + head * width, place,
            row.position % kPagePositions);
    }
  };
  const std::size_t places = rows.size() + copies.size();
  if (places < 8)
    for (std::size_t i = 0; i < places; ++i) one(i);
  else
    context.pool.run(places, one);
}

std::size_t Attention::partial_floats(std::size_t rows, std::size_t context, std::size_t heads,
                                      std::size_t head_width) {
  return std::min(rows, kSplitRows) * heads * spans_to(context) * partial_width(head_width);
}

void Attention::check() const {
  require(query.rows == rows.size() && output.rows == rows.size() &&
              query.columns == heads * pages.layout.head_width && output.columns == query.columns &&
              heads % pages.layout.kv_heads == 0,
          kName, "shapes differ");
  std::uint32_t furthest = 0;
  for (const KvRow& row : rows) furthest = std::max(furthest, row.position);
  require(rows.size() > kSplitRows ||
              partials.columns * partials.rows >=
                  partial_floats(rows.size(), furthest + 1, heads, pages.layout.head_width) -
                      rows.size() * heads * partial_width(pages.layout.head_width),
          kName, "too little room for partial results");
}

Cost Attention::cost() const {
  Cost cost{query.bytes(), output.bytes(), 0};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t seen = visible_positions(rows[i], window);
    const std::size_t first = rows[i].position + 1 - seen;
    const std::size_t shared =
        i == 0 ? 0 : std::max(first, common_blocks(rows[i - 1], rows[i]) * kPagePositions) - first;
    if (i == 0 || !continues(rows[i - 1], rows[i]))
      cost.read_bytes +=
          (seen - std::min(seen, shared)) * pages.layout.layer_bytes() / kPagePositions;
    cost.multiply_adds += 2.0 * static_cast<double>(seen * heads * pages.layout.head_width);
  }
  return cost;
}

void Attention::compute(CpuContext& context) const {
  if (!rows.empty()) Pass(*this, context).run();
}

}  // namespace malina::math
