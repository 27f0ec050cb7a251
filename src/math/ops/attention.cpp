#include "math/ops/attention.h"

#include <algorithm>
#include <vector>

#include "math/ops/attention_kernels.h"

namespace malina::math {
namespace {

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

// Queries of one key head: rows [first_row, ...) times the heads that share it, row by row.
struct Tile {
  std::size_t kv_head, first_row, first_query, count;  // queries are counted from first_row
};

bool continues(const KvRow& row, const KvRow& next) {
  return row.pages == next.pages && row.first_page == next.first_page &&
         next.position == row.position + 1;
}

std::vector<Tile> make_tiles(std::span<const KvRow> rows, std::size_t kv_heads,
                             std::size_t sharing) {
  std::vector<Tile> tiles;
  for (std::size_t first = 0; first < rows.size();) {
    std::size_t last = first + 1;
    while (last < rows.size() && continues(rows[last - 1], rows[last])) ++last;
    const std::size_t queries = (last - first) * sharing;
    for (std::size_t head = 0; head < kv_heads; ++head)
      for (std::size_t query = 0; query < queries; query += kTileQueries)
        tiles.push_back({head, first, query, std::min(kTileQueries, queries - query)});
    first = last;
  }
  return tiles;
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
        tiles_(make_tiles(operation.rows, operation.pages.layout.kv_heads, sharing_)) {}

  void run() {
    if (operation_.rows.size() <= kSplitRows)
      run_split();
    else
      pool_.run(tiles_.size(), [&](std::size_t index) { run_whole(tiles_[index]); });
  }

 private:
  std::size_t row_of(const Tile& tile, std::size_t query) const {
    return tile.first_row + (tile.first_query + query) / sharing_;
  }
  std::size_t head_of(const Tile& tile, std::size_t query) const {
    return tile.kv_head * sharing_ + (tile.first_query + query) % sharing_;
  }
  float* output_of(const Tile& tile, std::size_t query) const {
    return host_floats(operation_.output) + row_of(tile, query) * operation_.output.stride +
           head_of(tile, query) * width_;
  }

  QueryTile queries_of(const Tile& tile) const {
    QueryTile result{.count = tile.count, .queries = {}, .positions = {}, .partials = {}};
    for (std::size_t q = 0; q < tile.count; ++q) {
      result.queries[q] = host_floats(operation_.query) +
                          row_of(tile, q) * operation_.query.stride + head_of(tile, q) * width_;
      result.positions[q] = operation_.rows[row_of(tile, q)].position;
    }
    return result;
  }

  KeyBlocks keys_of(const Tile& tile) const {
    const KvRow& row = operation_.rows[tile.first_row];
    return {head_base(operation_.pages, tile.kv_head), operation_.pages.page_bytes, row.pages,
            row.first_page, operation_.pages.layout};
  }

  // The blocks that any query of the tile sees.
  std::pair<std::uint32_t, std::uint32_t> blocks_of(const QueryTile& queries) const {
    return {first_block(queries.positions[0], operation_.window),
            queries.positions[queries.count - 1] / static_cast<std::uint32_t>(kPagePositions)};
  }

  void attend_span(const QueryTile& queries, const KeyBlocks& keys, std::uint32_t span) const {
    const auto [first, last] = blocks_of(queries);
    kernels_.attend(queries, keys, std::max(first, span * kSpanBlocks),
                    std::min(last, (span + 1) * kSpanBlocks - 1), operation_.window,
                    operation_.scale);
  }

  void run_whole(const Tile& tile) const {
    const std::size_t size = partial_width(width_);
    thread_local std::vector<float> scratch;
    scratch.resize(2 * kTileQueries * size);
    QueryTile queries = queries_of(tile);
    const KeyBlocks keys = keys_of(tile);
    const auto [first, last] = blocks_of(queries);
    const std::uint32_t first_span = first / kSpanBlocks;
    for (std::uint32_t span = first_span; span <= last / kSpanBlocks; ++span) {
      float* target = scratch.data() + (span == first_span ? 0 : kTileQueries * size);
      for (std::size_t q = 0; q < tile.count; ++q) queries.partials[q] = target + q * size;
      attend_span(queries, keys, span);
      if (span == first_span) continue;
      for (std::size_t q = 0; q < tile.count; ++q)
        kernels_.merge(scratch.data() + q * size, queries.partials[q], padded_width(width_));
    }
    for (std::size_t q = 0; q < tile.count; ++q)
      kernels_.finish(scratch.data() + q * size, width_, output_of(tile, q));
  }

  void run_split() {
    struct Part {
      const Tile* tile;
      std::uint32_t span;
      float* partials;
    };
    const std::size_t size = partial_width(width_);
    std::vector<Part> parts;
    float* next = host_floats(operation_.partials);
    for (const Tile& tile : tiles_) {
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
      attend_span(queries, keys_of(*part.tile), part.span);
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
  std::vector<Tile> tiles_;
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
}

Cost StoreKeysValues::cost() const {
  return {keys.bytes() + values.bytes(), rows.size() * pages.layout.layer_bytes() / kPagePositions,
          0};
}

void StoreKeysValues::compute(CpuContext& context) const {
  const auto store = attention_kernels(context.isa).store;
  const std::size_t width = pages.layout.head_width;
  const auto one = [&](std::size_t i) {
    const KvRow& row = rows[i];
    const std::size_t page = row.pages[row.position / kPagePositions - row.first_page];
    for (std::size_t head = 0; head < pages.layout.kv_heads; ++head) {
      std::byte* place = pages.pool->host() + pages.layer_offset + page * pages.page_bytes +
                         head * 2 * pages.layout.head_bytes();
      store(pages.layout, host_floats(keys) + i * keys.stride + head * width,
            host_floats(values) + i * values.stride + head * width, place,
            row.position % kPagePositions);
    }
  };
  if (rows.size() < 8)
    for (std::size_t i = 0; i < rows.size(); ++i) one(i);
  else
    context.pool.run(rows.size(), one);
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
    const bool shared = i > 0 && continues(rows[i - 1], rows[i]);
    if (!shared) cost.read_bytes += seen * pages.layout.layer_bytes() / kPagePositions;
    cost.multiply_adds += 2.0 * static_cast<double>(seen * heads * pages.layout.head_width);
  }
  return cost;
}

void Attention::compute(CpuContext& context) const {
  if (!rows.empty()) Pass(*this, context).run();
}

}  // namespace malina::math
