#include "model/transposed_weights.h"

#include "math/ops/transpose_packed.h"
#include "model/adapter_tensors.h"

namespace malina::model {

TransposedWeights::TransposedWeights(const Model& model, math::Device& device)
    : layers_(model.layers().size()) {
  const math::Encoding& encoding = *math::find_encoding("q8_0");
  struct Turned {
    math::Slice weight;
    math::Slice* target;
    std::size_t offset;
  };
  std::vector<Turned> all;
  std::size_t bytes = 0;
  for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
    for (std::size_t i = 0; i < kProjections; ++i) {
      const math::Slice& weight = weight_of(model.layers()[layer], static_cast<Projection>(i));
      if (!weight || weight.rows % encoding.block_values != 0) continue;
      all.push_back({weight, &layers_[layer][i], bytes});
      bytes += math::packed_bytes(weight.columns, weight.rows, encoding);
    }
  }
  buffer_ = device.allocate(bytes);
  for (const Turned& turned : all) {
    *turned.target = math::packed_slice(*buffer_, turned.offset, turned.weight.columns,
                                        turned.weight.rows, encoding);
    device.run(math::TransposePacked{turned.weight, *turned.target});
  }
}

}  // namespace malina::model
