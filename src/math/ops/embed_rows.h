// Token embeddings: rows of a packed matrix.
#pragma once

#include <span>

#include "math/device.h"

namespace malina::math {

// output row i = row tokens[i] of table, decoded, times scale.
// table: packed [vocab, width]; output: [tokens, width]. tokens: borrowed during the call, each
// below vocab.
struct EmbedRows {
  static constexpr std::string_view kName = "embed_rows";
  Slice table, output;
  std::span<const std::int32_t> tokens;
  float scale = 1;

  void check() const;
  Cost cost() const;
  void compute(CpuContext& context) const;
};

}  // namespace malina::math
