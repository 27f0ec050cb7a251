// All weights of a model while they are trained: float32, changed where they stand, with a gradient
// for each.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "math/device.h"
#include "model/model.h"

namespace malina::model {

// The same tensors with every weight in float32, decoded when it is read: what a model to be
// trained is loaded from. Tables of the rotary embedding stay as they are, and so does the metadata
// but for general.file_type.
std::shared_ptr<const format::Checkpoint> in_float32(
    std::shared_ptr<const format::Checkpoint> checkpoint);

// Throws base::Error(unsupported) where a model cannot be trained whole: one with experts.
void check_trainable(const Model& model);

// Gradients lie as the weights do, in one allocation, so that an update is one pass over both; what
// pads rows to whole groups, and vectors to 64 bytes, is zero in both and stays so. One thread.
class TrainableWeights {
 public:
  // The model must be of in_float32() and nobody else's: its weights change. On a planning device
  // there is no memory. Throws what check_trainable() throws.
  TrainableWeights(std::shared_ptr<const Model> model, math::Device& device);

  const Model& model() const { return *model_; }
  // Of a weight of the model: a slice of its shape, packed as it is.
  math::Slice gradient(const math::Slice& weight) const;
  // All of them with what pads them; empty on a planning device.
  std::span<float> parameters();
  std::span<float> gradients();
  std::size_t size() const { return size_; }  // floats, padding included

  enum class What { weights, gradients };
  // Row `row` of a tensor of the model's checkpoint, in the order of its file; output: its columns.
  void read_row(const format::TensorInfo& tensor, std::uint64_t row, What what,
                std::span<float> output) const;
  // Whether the tensor is one that is trained: tables of the rotary embedding are not.
  bool has(const format::TensorInfo& tensor) const;

 private:
  // What of a tensor a weight of the model holds: rows, or values of a vector, from `first` on.
  struct Part {
    const math::Slice* slice;
    std::uint64_t first;
  };
  struct Tensor {
    std::string name;
    std::vector<Part> parts;  // in order, without gaps
  };
  void find_parts();
  void add_vector(const std::string& name, const math::Slice& slice);
  const Tensor* find(std::string_view name) const;
  const float* at(const math::Slice& slice, What what) const;

  std::shared_ptr<const Model> model_;
  std::size_t size_;
  std::unique_ptr<math::Buffer> gradients_;
  std::vector<Tensor> tensors_;
};

// The tensors of in_float32() with the values that the weights have now. `weights` must outlive it.
// `texts`: keys of the metadata and their values, in place of those that the base has.
using MetadataTexts = std::vector<std::pair<std::string, std::string>>;
std::shared_ptr<const format::Checkpoint> trained_checkpoint(const TrainableWeights& weights,
                                                             MetadataTexts texts = {});

}  // namespace malina::model
