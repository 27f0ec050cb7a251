// Bounds on the rendering of a chat template.
#pragma once

#include <cstddef>

namespace malina::text {

// Passing one throws base::Error(invalid_argument) that says which.
struct TemplateBudget {
  // Statements and expressions evaluated, items gone through, and every 256 bytes of text or lists
  // made or searched.
  std::size_t steps = 1'000'000;
  std::size_t depth = 250;  // nesting of statements and expressions, through macros, and of values
  std::size_t output_bytes = 8'000'000;  // rendered text, and any one string made on the way
};

}  // namespace malina::text
