#include "math/ops/embed_rows.h"

namespace malina::math {

void EmbedRows::check() const {
  require(
      table.encoding != nullptr && output.columns == table.columns && output.rows == tokens.size(),
      kName, "shapes differ");
  for (const std::int32_t token : tokens)
    require(token >= 0 && static_cast<std::size_t>(token) < table.rows, kName,
            "a token is outside of the vocabulary");
}

Cost EmbedRows::cost() const {
  return {tokens.size() * table.encoding->row_bytes(table.columns), output.bytes(), 0};
}

void EmbedRows::compute(CpuContext& context) const {
  const auto* products = table.encoding->products[static_cast<std::size_t>(context.isa)];
  const PackedMatrix matrix = packed_matrix(table);
  float* rows = host_floats(output);
  context.pool.run(tokens.size(), [&](std::size_t i) {
    float* row = rows + i * output.stride;
    products->decode_row(matrix, static_cast<std::size_t>(tokens[i]), row);
    if (scale != 1)
      for (std::size_t k = 0; k < output.columns; ++k) row[k] *= scale;
  });
}

}  // namespace malina::math
