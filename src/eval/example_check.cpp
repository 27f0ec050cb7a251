#include "eval/example_check.h"

#include <cmath>

#include "base/error.h"

namespace malina::eval {

using base::Error;
using base::Fault;

void check_examples(const SparseRows& rows, std::span<const std::uint32_t> labels,
                    std::size_t classes) {
  if (labels.size() != rows.rows() || labels.empty() || classes == 0)
    throw Error(Fault::invalid_argument, "there is not one label for each of some rows");
  for (const std::uint32_t label : labels)
    if (label >= classes) throw Error(Fault::invalid_argument, "a label is not one of the classes");
  for (const std::uint32_t column : rows.columns)
    if (column >= rows.width) throw Error(Fault::invalid_argument, "a column is beyond the width");
  for (const float value : rows.values)
    if (!std::isfinite(value)) throw Error(Fault::invalid_argument, "a feature is not a number");
}

}  // namespace malina::eval
