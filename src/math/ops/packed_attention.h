// Attention within spans of one batch: training and scoring without a cache. Texts of any length
// stand one behind the other without padding, none sees another (block-diagonal), but for a shared
// prefix, which is computed once.
#pragma once

#include <cstdint>
#include <span>

#include "math/device.h"

namespace malina::math {

// Rows [first, first + count) of the batch, at consecutive positions. With a prefix they continue
// that span, which has none itself and stands before: its rows are seen by all who name it.
struct AttentionSpan {
  static constexpr std::size_t kNone = ~std::size_t{0};
  std::size_t first = 0, count = 0;
  std::size_t prefix = kNone;  // index of a span
};

// output = softmax(scale * q K^T) V for each query head over the positions (position - window,
// position] of its own text (window 0: all). query, output: [rows, heads * head_width]; key, value:
// [rows, kv heads * head_width]. Query head h uses key head h / (heads / kv heads). The spans cover
// every row once, in order.
struct PackedAttention {
  static constexpr std::string_view kName = "packed_attention";
  Slice query, key, value, output;
  std::span<const AttentionSpan> spans;
  std::size_t heads, head_width;
  float scale;
  std::uint32_t window = 0;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

// The gradients of query, key and value from that of the output, which are overwritten. What each
// row sees is computed again. Sums over the rows that see a key go over spans and rows in order.
struct PackedAttentionBackward {
  static constexpr std::string_view kName = "packed_attention_backward";
  Slice query, key, value, output_gradient;
  Slice query_gradient, key_gradient, value_gradient;
  std::span<const AttentionSpan> spans;
  std::size_t heads, head_width;
  float scale;
  std::uint32_t window = 0;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

}  // namespace malina::math
