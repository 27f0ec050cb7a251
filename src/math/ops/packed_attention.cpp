#include "math/ops/packed_attention.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "math/ops/gradient_kernels.h"

namespace malina::math {
namespace {

constexpr std::size_t kQueryRows = 64;  // that share one pass over the keys

// A prefix with all that continue it, or a span alone: what one task computes for one key head.
struct Family {
  std::vector<std::size_t> spans;  // the prefix first
};

std::vector<Family> families(std::span<const AttentionSpan> spans) {
  std::vector<Family> found;
  std::vector<std::size_t> place(spans.size());
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (spans[i].prefix == AttentionSpan::kNone) {
      place[i] = found.size();
      found.push_back({{i}});
    } else {
      found[place[spans[i].prefix]].spans.push_back(i);
    }
  }
  return found;
}

void check_spans(std::span<const AttentionSpan> spans, std::size_t rows, std::string_view name) {
  std::size_t next = 0;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    require(spans[i].first == next && spans[i].count > 0, name, "spans are not in order");
    next += spans[i].count;
    const std::size_t prefix = spans[i].prefix;
    require(prefix == AttentionSpan::kNone ||
                (prefix < i && spans[prefix].prefix == AttentionSpan::kNone),
            name, "a prefix does not stand before, or has one itself");
  }
  require(next == rows, name, "spans do not cover the batch");
}

double pairs_of(std::span<const AttentionSpan> spans) {
  double pairs = 0;
  for (const AttentionSpan& span : spans) {
    const auto count = static_cast<double>(span.count);
    pairs += count * (count + 1) / 2;
    if (span.prefix != AttentionSpan::kNone)
      pairs += count * static_cast<double>(spans[span.prefix].count);
  }
  return pairs;
}

// One head of some rows: [count, width] at a stride.
struct HeadRows {
  float* values;
  std::size_t stride;
  HeadRows from(std::size_t row) const { return {values + row * stride, stride}; }
};

HeadRows head_of(const Slice& slice, std::size_t row, std::size_t head, std::size_t width) {
  return {host_floats(slice) + row * slice.stride + head * width, slice.stride};
}

// [width, count] from rows of [count, width].
void turn(const HeadRows& rows, std::size_t count, std::size_t width, std::vector<float>& turned) {
  turned.resize(width * count);
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t d = 0; d < width; ++d)
      turned[d * count + i] = rows.values[i * rows.stride + d];
}

// Keys and values of one span and one key head, and turned copies for the products that need them.
struct KeyBlock {
  HeadRows key{}, value{};
  HeadRows key_gradient{}, value_gradient{};
  std::size_t count = 0;
  std::vector<float> turned_key, turned_value;
};

// The blocks that a span's queries see, in order of their positions.
struct Seen {
  const KeyBlock* blocks[2];
  std::size_t count = 0;
  std::size_t positions() const {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += blocks[i]->count;
    return sum;
  }
};

// output[rows, all positions] = left [rows, width] times the turned keys (or values) of each block.
void against(const GradientKernels& kernels, const HeadRows& left, std::size_t rows,
             std::size_t width, const Seen& seen, bool values, std::size_t stride, float* output) {
  std::size_t column = 0;
  for (std::size_t i = 0; i < seen.count; ++i) {
    const KeyBlock& block = *seen.blocks[i];
    const auto& turned = values ? block.turned_value : block.turned_key;
    kernels.product({left.values, left.stride, 1}, turned.data(), block.count, rows, width,
                    block.count, 1, false, output + column, stride);
    column += block.count;
  }
}

// output [rows, width] = weights [rows, all positions] times keys (or values) of each block.
void through(const GradientKernels& kernels, const float* weights, std::size_t stride,
             std::size_t rows, std::size_t width, const Seen& seen, bool values,
             const HeadRows& output) {
  std::size_t column = 0;
  for (std::size_t i = 0; i < seen.count; ++i) {
    const KeyBlock& block = *seen.blocks[i];
    const HeadRows& right = values ? block.value : block.key;
    kernels.product({weights + column, stride, 1}, right.values, right.stride, rows, block.count,
                    width, 1, i > 0, output.values, output.stride);
    column += block.count;
  }
}

// Probabilities of a block of queries, [rows, positions]; query r stands at position first + r.
void probabilities(const GradientKernels& kernels, const HeadRows& query, std::size_t rows,
                   std::size_t first, std::size_t width, const Seen& seen, float scale,
                   std::uint32_t window, std::size_t positions, std::vector<float>& p) {
  p.resize(rows * positions);
  against(kernels, query, rows, width, seen, false, positions, p.data());
  for (std::size_t r = 0; r < rows; ++r) {
    const std::size_t end = first + r + 1;
    const std::size_t begin = window != 0 && end > window ? end - window : 0;
    kernels.softmax(p.data() + r * positions, scale, begin, end, positions);
  }
}

// Calls visit(seen, row of the batch, rows, position) for blocks of queries of a family's spans.
template <class Visit>
void for_query_blocks(std::span<const AttentionSpan> spans, const Family& family,
                      std::vector<KeyBlock>& blocks, Visit&& visit) {
  for (std::size_t i = 0; i < family.spans.size(); ++i) {
    const AttentionSpan& span = spans[family.spans[i]];
    Seen seen;
    if (i > 0) seen.blocks[seen.count++] = &blocks[0];
    seen.blocks[seen.count++] = &blocks[i];
    const std::size_t before = i > 0 ? blocks[0].count : 0;
    for (std::size_t row = 0; row < span.count; row += kQueryRows)
      visit(i, seen, span.first + row, std::min(kQueryRows, span.count - row), before + row);
  }
}

template <class Operation>
std::vector<KeyBlock> key_blocks(const Operation& operation, const Family& family, std::size_t head,
                                 bool turned_values) {
  std::vector<KeyBlock> blocks(family.spans.size());
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const AttentionSpan& span = operation.spans[family.spans[i]];
    KeyBlock& block = blocks[i];
    block.count = span.count;
    block.key = head_of(operation.key, span.first, head, operation.head_width);
    block.value = head_of(operation.value, span.first, head, operation.head_width);
    turn(block.key, block.count, operation.head_width, block.turned_key);
    if (turned_values) turn(block.value, block.count, operation.head_width, block.turned_value);
  }
  return blocks;
}

template <class Operation>
void check_shapes(const Operation& operation) {
  const auto& [query, key, value] = std::tie(operation.query, operation.key, operation.value);
  require(operation.head_width > 0 && query.columns == operation.heads * operation.head_width &&
              key.columns % operation.head_width == 0 && key.columns > 0 &&
              operation.heads % (key.columns / operation.head_width) == 0 &&
              value.columns == key.columns && key.rows == query.rows && value.rows == query.rows,
          Operation::kName, "shapes differ");
  check_spans(operation.spans, query.rows, Operation::kName);
}

}  // namespace

void PackedAttention::check() const {
  check_shapes(*this);
  require(output.rows == query.rows && output.columns == query.columns, kName, "shapes differ");
}

Cost PackedAttention::cost() const {
  return {query.bytes() + key.bytes() + value.bytes(), output.bytes(),
          2 * pairs_of(spans) * static_cast<double>(query.columns)};
}

void PackedAttention::compute(CpuContext& context) const {
  const GradientKernels& kernels = gradient_kernels(context.isa);
  const std::size_t kv_heads = key.columns / head_width;
  const std::size_t group = heads / kv_heads;
  const std::vector<Family> all = families(spans);
  context.pool.run(all.size() * kv_heads, [&](std::size_t task) {
    const Family& family = all[task / kv_heads];
    const std::size_t head = task % kv_heads;
    std::vector<KeyBlock> blocks = key_blocks(*this, family, head, false);
    std::vector<float> p;
    for_query_blocks(spans, family, blocks,
                     [&](std::size_t, const Seen& seen, std::size_t row, std::size_t rows,
                         std::size_t position) {
                       const std::size_t positions = seen.positions();
                       for (std::size_t g = 0; g < group; ++g) {
                         const std::size_t h = head * group + g;
                         probabilities(kernels, head_of(query, row, h, head_width), rows, position,
                                       head_width, seen, scale, window, positions, p);
                         through(kernels, p.data(), positions, rows, head_width, seen, true,
                                 head_of(output, row, h, head_width));
                       }
                     });
  });
}

void PackedAttentionBackward::check() const {
  check_shapes(*this);
  require(output_gradient.rows == query.rows && output_gradient.columns == query.columns &&
              query_gradient.rows == query.rows && query_gradient.columns == query.columns &&
              key_gradient.rows == key.rows && key_gradient.columns == key.columns &&
              value_gradient.rows == key.rows && value_gradient.columns == key.columns,
          kName, "shapes differ");
}

Cost PackedAttentionBackward::cost() const {
  return {2 * query.bytes() + key.bytes() + value.bytes(),
          query_gradient.bytes() + key_gradient.bytes() + value_gradient.bytes(),
          5 * pairs_of(spans) * static_cast<double>(query.columns)};
}

namespace {

// One block of queries of one head: their gradient, and what they add to keys and values.
struct BackwardBlock {
  const PackedAttentionBackward& operation;
  const GradientKernels& kernels;
  std::vector<float> p, gradient;

  void run(const Seen& seen, std::size_t row, std::size_t rows, std::size_t position,
           std::size_t head) {
    const std::size_t width = operation.head_width;
    const std::size_t positions = seen.positions();
    const HeadRows query = head_of(operation.query, row, head, width);
    const HeadRows output = head_of(operation.output_gradient, row, head, width);
    probabilities(kernels, query, rows, position, width, seen, operation.scale, operation.window,
                  positions, p);
    gradient.resize(rows * positions);
    against(kernels, output, rows, width, seen, true, positions, gradient.data());
    // dV += P^T dO before the scores' gradient takes P's place.
    add_to_blocks(seen, p.data(), positions, rows, output, &KeyBlock::value_gradient);
    for (std::size_t r = 0; r < rows; ++r)
      kernels.softmax_gradient(p.data() + r * positions, operation.scale, positions,
                               gradient.data() + r * positions);
    through(kernels, gradient.data(), positions, rows, width, seen, false,
            head_of(operation.query_gradient, row, head, width));
    add_to_blocks(seen, gradient.data(), positions, rows, query, &KeyBlock::key_gradient);
  }

  // block's gradient [count, width] += weights^T [count, rows] * right [rows, width].
  void add_to_blocks(const Seen& seen, const float* weights, std::size_t stride, std::size_t rows,
                     const HeadRows& right, HeadRows KeyBlock::* target) const {
    std::size_t column = 0;
    for (std::size_t i = 0; i < seen.count; ++i) {
      const KeyBlock& block = *seen.blocks[i];
      const HeadRows& output = block.*target;
      kernels.product({weights + column, 1, stride}, right.values, right.stride, block.count, rows,
                      operation.head_width, 1, true, output.values, output.stride);
      column += block.count;
    }
  }
};

void clear(const HeadRows& rows, std::size_t count, std::size_t width) {
  for (std::size_t i = 0; i < count; ++i) std::fill_n(rows.values + i * rows.stride, width, 0.0F);
}

}  // namespace

void PackedAttentionBackward::compute(CpuContext& context) const {
  const GradientKernels& kernels = gradient_kernels(context.isa);
  const std::size_t kv_heads = key.columns / head_width;
  const std::size_t group = heads / kv_heads;
  const std::vector<Family> all = families(spans);
  context.pool.run(all.size() * kv_heads, [&](std::size_t task) {
    const Family& family = all[task / kv_heads];
    const std::size_t head = task % kv_heads;
    std::vector<KeyBlock> blocks = key_blocks(*this, family, head, true);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const std::size_t first = spans[family.spans[i]].first;
      blocks[i].key_gradient = head_of(key_gradient, first, head, head_width);
      blocks[i].value_gradient = head_of(value_gradient, first, head, head_width);
      clear(blocks[i].key_gradient, blocks[i].count, head_width);
      clear(blocks[i].value_gradient, blocks[i].count, head_width);
    }
    BackwardBlock block{*this, kernels, {}, {}};
    for_query_blocks(spans, family, blocks,
                     [&](std::size_t, const Seen& seen, std::size_t row, std::size_t rows,
                         std::size_t position) {
                       for (std::size_t g = 0; g < group; ++g)
                         block.run(seen, row, rows, position, head * group + g);
                     });
  });
}

}  // namespace malina::math
