// A low-rank adapter as values: what training makes, files hold, and an Adapter is made of.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "model/adapter.h"
#include "model/model.h"
#include "model/trainable_adapter.h"

namespace malina::model {

// What is added to one matrix: scale() * B * A.
struct LowRankMatrix {
  std::size_t rank = 0, inputs = 0, outputs = 0;  // a rank of 0: the matrix is not adapted
  double alpha = 0;
  bool rank_stabilised = false;
  std::vector<float> a = {};  // [rank, inputs]
  std::vector<float> b = {};  // [outputs, rank], its rows in the order of the model's in memory

  explicit operator bool() const { return rank > 0; }
  float scale() const;  // alpha / rank, or alpha / sqrt(rank): computed in double, as PEFT does
  bool operator==(const LowRankMatrix&) const = default;
};

// logits = weight * hidden + bias, of the hidden state after the last norm.
struct ClassificationHead {
  std::size_t labels = 0, width = 0;  // no labels: there is no head
  std::vector<float> weight = {};     // [labels, width]
  std::vector<float> bias = {};       // [labels], or empty

  explicit operator bool() const { return labels > 0; }
  bool operator==(const ClassificationHead&) const = default;
};

// What the head is asked about: nothing, the last token of a text, or every token.
enum class AdapterTask { language_model, sequence_classification, token_classification };

struct AdapterTensors {
  AdapterTask task = AdapterTask::language_model;
  std::vector<std::array<LowRankMatrix, kProjections>> layers;  // one entry for each layer
  ClassificationHead head;

  const LowRankMatrix& matrix(std::size_t layer, Projection projection) const {
    return layers[layer][static_cast<std::size_t>(projection)];
  }
  LowRankMatrix& matrix(std::size_t layer, Projection projection) {
    return layers[layer][static_cast<std::size_t>(projection)];
  }
  std::size_t parameters() const;  // of the low-rank matrices and the head
  bool operator==(const AdapterTensors&) const = default;
};

// A copy of the values as they stand.
AdapterTensors tensors_of(const TrainableAdapter& adapter);

// The low-rank part on a device. Throws internal where a vector's size is not what its shape says.
std::shared_ptr<const Adapter> to_adapter(const AdapterTensors& tensors,
                                          const std::string& base_digest, math::Device& device,
                                          Adapter::Storage storage = Adapter::Storage::single);

// Throws base::Error(invalid_argument), naming the matrix, where the adapter does not fit the
// model: another number of layers, a shape, a matrix that the model does not have, a head of
// another width, a value that is not finite.
void check_fits(const AdapterTensors& tensors, const Model& model);

// The weight of a projection; absent where the model has none (gates of some families, and all of
// the feed-forward of mixtures of experts).
const math::Slice& weight_of(const LayerWeights& layer, Projection projection);
// "query", "key", ...
std::string_view name(Projection projection);

}  // namespace malina::model
