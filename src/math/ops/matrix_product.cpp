#include "math/ops/matrix_product.h"

#include <algorithm>

#include "math/ops/gradient_kernels.h"

namespace malina::math {
namespace {

// One task: rows that keep the panel of `right` in the cache busy, by a panel of columns.
constexpr std::size_t kTaskRows = 96;
constexpr std::size_t kTaskColumns = 64;
constexpr double kInlineMultiplyAdds = 65536;  // below it other threads cost more than they bring

}  // namespace

void MatrixProduct::check() const {
  const std::size_t rows = left_transposed ? left.columns : left.rows;
  const std::size_t depth = left_transposed ? left.rows : left.columns;
  require(output.rows == rows && output.columns == right.columns && right.rows == depth, kName,
          "shapes differ");
  require(left.encoding == nullptr && right.encoding == nullptr && output.encoding == nullptr,
          kName, "a packed matrix");
}

Cost MatrixProduct::cost() const {
  return {left.bytes() + right.bytes() + (add ? output.bytes() : 0), output.bytes(),
          static_cast<double>(output.rows) * static_cast<double>(output.columns) *
              static_cast<double>(right.rows)};
}

void MatrixProduct::compute(CpuContext& context) const {
  const auto product = gradient_kernels(context.isa).product;
  const StridedMatrix matrix{host_floats(left), left_transposed ? 1 : left.stride,
                             left_transposed ? left.stride : 1};
  const auto part = [&](std::size_t row, std::size_t rows, std::size_t column,
                        std::size_t columns) {
    product({matrix.values + row * matrix.row_stride, matrix.row_stride, matrix.column_stride},
            host_floats(right) + column, right.stride, rows, right.rows, columns, scale, add,
            host_floats(output) + row * output.stride + column, output.stride);
  };
  if (cost().multiply_adds < kInlineMultiplyAdds) {
    part(0, output.rows, 0, output.columns);
    return;
  }
  const std::size_t row_tasks = (output.rows + kTaskRows - 1) / kTaskRows;
  const std::size_t column_tasks = (output.columns + kTaskColumns - 1) / kTaskColumns;
  context.pool.run(row_tasks * column_tasks, [&](std::size_t task) {
    const std::size_t row = task / column_tasks * kTaskRows;
    const std::size_t column = task % column_tasks * kTaskColumns;
    part(row, std::min(kTaskRows, output.rows - row), column,
         std::min(kTaskColumns, output.columns - column));
  });
}

void Transpose::check() const {
  require(input.rows == output.columns && input.columns == output.rows, kName, "shapes differ");
}

Cost Transpose::cost() const { return {input.bytes(), output.bytes(), 0}; }

void Transpose::compute(CpuContext&) const {
  for (std::size_t m = 0; m < input.rows; ++m)
    for (std::size_t n = 0; n < input.columns; ++n)
      host_floats(output)[n * output.stride + m] = host_floats(input)[m * input.stride + n];
}

}  // namespace malina::math
