#include "tune/loaded_adapter.h"

#include <algorithm>

#include "base/error.h"

namespace malina::tune {

using base::Error;
using base::Fault;

std::unique_ptr<model::TrainableAdapter> loaded_adapter(const model::AdapterTensors& tensors,
                                                        const model::Model& model,
                                                        math::CpuDevice& device) {
  model::LowRankOptions options;
  options.targets.fill(false);
  for (const auto& layer : tensors.layers) {
    for (std::size_t i = 0; i < model::kProjections; ++i) {
      if (!layer[i]) continue;
      options.targets[i] = true;
      options.rank = layer[i].rank;
      options.alpha = static_cast<float>(layer[i].alpha);
      options.rank_stabilised = layer[i].rank_stabilised;
    }
  }
  auto adapter = std::make_unique<model::TrainableAdapter>(model, options, 0, device);
  for (const auto& matrix : adapter->matrices()) {
    const model::LowRankMatrix& stored = tensors.matrix(matrix.layer, matrix.projection);
    const auto& values = matrix.is_b ? stored.b : stored.a;
    if (values.size() != matrix.rows * matrix.columns || stored.scale() != options.scale())
      throw Error(Fault::unsupported,
                  "a classifier whose matrices differ in rank or scale, or that leaves some out");
    std::copy(values.begin(), values.end(),
              adapter->parameters().begin() + static_cast<std::ptrdiff_t>(matrix.offset));
  }
  return adapter;
}

}  // namespace malina::tune
