// What every learner of rows with labels asks of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "eval/sparse_rows.h"

namespace malina::eval {

// Throws base::Error(invalid_argument) where there is not one label for each row, or no row, a
// label is not below `classes`, a column not below the width, or a value not finite.
void check_examples(const SparseRows& rows, std::span<const std::uint32_t> labels,
                    std::size_t classes);

}  // namespace malina::eval
