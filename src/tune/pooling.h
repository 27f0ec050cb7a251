// One hidden state for a whole text, out of those of its tokens.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "math/device.h"

namespace malina::tune {

// last: the state of the last token, as Transformers' sequence classification has it. mean: the
// mean over all tokens (as sentence encoders have it: Reimers & Gurevych, 2019), which learns from
// fewer texts.
enum class Pooling { last, mean };
std::string_view name(Pooling pooling);

// hidden: [sum of counts, width], the texts one behind the other; pooled: [texts, width]. Sums are
// double, in the order of the rows. `pooled` may be the first rows of `hidden`.
void mean_of_rows(const math::Slice& hidden, std::span<const std::size_t> counts,
                  const math::Slice& pooled);
// Back: each row of a text gets its text's gradient divided by their number.
void mean_of_rows_backward(const math::Slice& pooled_gradient, std::span<const std::size_t> counts,
                           const math::Slice& hidden_gradient);

}  // namespace malina::tune
