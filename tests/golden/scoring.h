// For tests with whole models: logits of a text, and what is compared of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <vector>

#include "model/transformer.h"

namespace malina {

// Calls use(i, logits) for the tokens from `first` on: the logits that follow token i.
using UseLogits = std::function<void(std::size_t, std::span<const float>)>;
inline void score(model::Transformer& transformer, model::PagePool& pages, std::span<const std::int32_t> tokens,
           std::size_t first, const UseLogits& use) {
  model::Sequence sequence(pages);
  for (std::size_t begin = 0; begin < tokens.size(); begin += transformer.max_rows()) {
    const std::size_t end = std::min(begin + transformer.max_rows(), tokens.size());
    std::vector<model::Row> rows;
    for (std::size_t i = begin; i < end; ++i)
      rows.push_back({.token = tokens[i],
                      .sequence = &sequence,
                      .wants = i < first ? model::Wants::nothing : model::Wants::logits});
    transformer.forward(rows, [&](const model::Output& output) {
      const float* values = math::host_floats(output.values);
      for (std::size_t line = 0; line < output.rows.size(); ++line)
        use(begin + output.rows[line],
            {values + line * output.values.stride, output.values.columns});
    });
  }
}

inline double log_sum_exp(std::span<const float> logits) {
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - most);
  return most + std::log(sum);
}

inline std::ptrdiff_t argmax(std::span<const float> logits) {
  return std::max_element(logits.begin(), logits.end()) - logits.begin();
}

}  // namespace malina
