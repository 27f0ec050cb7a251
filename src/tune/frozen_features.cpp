#include "tune/frozen_features.h"

#include <fmt/format.h>

#include "base/error.h"
#include "tune/pooling.h"

namespace malina::tune {

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
    std::vector<std::size_t> counts, wanted;
    std::size_t total = 0;
    while (next + texts.size() < examples.size() &&
           total + examples[next + texts.size()].tokens.size() <= rows) {
      texts.push_back({.tokens = examples[next + texts.size()].tokens});
      const std::size_t from = examples[next + texts.size() - 1].read_from;
      counts.push_back(texts.back().tokens.size() - from);
      for (std::size_t i = from; i < texts.back().tokens.size(); ++i) wanted.push_back(total + i);
      total += texts.back().tokens.size();
    }
    if (texts.empty())
      throw base::Error(base::Fault::invalid_argument,
                        fmt::format("text {} has {} tokens, more than the {} that are computed at "
                                    "once",
                                    next + 1, examples[next].tokens.size(), rows));
    const math::Slice hidden = pass.forward(texts, nullptr, wanted);
    const math::Slice means = hidden.row_range(0, texts.size());
    mean_of_rows(hidden, counts, means);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const float* row = math::host_floats(means) + i * means.stride;
      features.insert(features.end(), row, row + means.columns);
    }
    next += texts.size();
    if (done) done(next);
  }
  return features;
}

}  // namespace malina::tune
