#include "math/ops/transpose_packed.h"

#include <algorithm>
#include <array>
#include <vector>

namespace malina::math {
namespace {

constexpr std::size_t kScratchFloats = std::size_t{16} << 20;  // decoded at a time

// Columns [first, first + count) of all rows, as floats.
void decode_strip(const Slice& weight, std::size_t first, std::size_t count, CpuContext& context,
                  std::vector<float>& strip) {
  const auto decode = weight.encoding->products[static_cast<std::size_t>(context.isa)]->decode_row;
  strip.resize(weight.rows * count);
  context.pool.run(weight.rows, [&](std::size_t row) {
    thread_local std::vector<float> values;
    values.resize(weight.columns);
    decode(packed_matrix(weight), row, values.data());
    std::copy_n(values.data() + first, count, strip.data() + row * count);
  });
}

}  // namespace

void TransposePacked::check() const {
  require(weight.encoding != nullptr && output.encoding != nullptr &&
              output.encoding->encode != nullptr && output.rows == weight.columns &&
              output.columns == weight.rows && weight.rows % output.encoding->block_values == 0,
          kName, "shapes differ, or the encoding does not fit");
}

Cost TransposePacked::cost() const { return {weight.bytes(), output.bytes(), 0}; }

void TransposePacked::compute(CpuContext& context) const {
  const Encoding& encoding = *output.encoding;
  const std::size_t row_bytes = encoding.row_bytes(output.columns);
  const std::size_t strip_columns =
      std::max(kGroupRows, kScratchFloats / weight.rows / kGroupRows * kGroupRows);
  std::byte* target = output.buffer->host() + output.offset;
  std::vector<float> strip;
  for (std::size_t first = 0; first < weight.columns; first += strip_columns) {
    const std::size_t count = std::min(strip_columns, weight.columns - first);
    decode_strip(weight, first, count, context, strip);
    context.pool.run((count + kGroupRows - 1) / kGroupRows, [&](std::size_t group) {
      std::vector<float> row(weight.rows);
      std::vector<std::byte> encoded(kGroupRows * row_bytes);
      std::array<const std::byte*, kGroupRows> rows{};
      for (std::size_t r = 0; r < kGroupRows && group * kGroupRows + r < count; ++r) {
        for (std::size_t n = 0; n < weight.rows; ++n)
          row[n] = strip[n * count + group * kGroupRows + r];
        encoding.encode(row.data(), weight.rows, nullptr, encoded.data() + r * row_bytes);
        rows[r] = encoded.data() + r * row_bytes;
      }
      encoding.pack(rows, output.columns,
                    target + (first / kGroupRows + group) * encoding.group_bytes(output.columns));
    });
  }
}

}  // namespace malina::math
