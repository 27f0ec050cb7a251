#include "tune/frozen_features.h"

#include <fmt/format.h>

#include <numeric>

#include "base/error.h"

namespace malina::tune {
namespace {

// Means of [first, first + count) rows, summed in double in their order.
void add_mean(const math::Slice& hidden, std::size_t first, std::size_t count,
              std::vector<float>& features) {
  for (std::size_t k = 0; k < hidden.columns; ++k) {
    double sum = 0;
    for (std::size_t row = first; row < first + count; ++row)
      sum += double{math::host_floats(hidden)[row * hidden.stride + k]};
    features.push_back(static_cast<float>(sum / static_cast<double>(count)));
  }
}

}  // namespace

std::vector<float> frozen_features(std::shared_ptr<const model::Model> model,
                                   math::CpuDevice& device,
                                   std::span<const TrainingExample> examples, std::size_t rows,
                                   const std::function<void(std::size_t done)>& done) {
  // Nothing is trained: one layer's activations are enough.
  model::TrainingPass pass(model, device, {.max_rows = rows, .recompute = true});
  std::vector<float> features;
  features.reserve(examples.size() * model->sizes().width);
  std::size_t next = 0;
  while (next < examples.size()) {
    std::vector<model::TrainingText> texts;
    std::size_t total = 0;
    while (next + texts.size() < examples.size() &&
           total + examples[next + texts.size()].tokens.size() <= rows) {
      texts.push_back({.tokens = examples[next + texts.size()].tokens});
      total += texts.back().tokens.size();
    }
    if (texts.empty())
      throw base::Error(base::Fault::invalid_argument,
                        fmt::format("text {} has {} tokens, more than the {} that are computed at "
                                    "once",
                                    next + 1, examples[next].tokens.size(), rows));
    std::vector<std::size_t> all(total);
    std::iota(all.begin(), all.end(), std::size_t{0});
    const math::Slice hidden = pass.forward(texts, nullptr, all);
    std::size_t first = 0;
    for (const model::TrainingText& text : texts) {
      add_mean(hidden, first, text.tokens.size(), features);
      first += text.tokens.size();
    }
    next += texts.size();
    if (done) done(next);
  }
  return features;
}

}  // namespace malina::tune
