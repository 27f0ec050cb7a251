#include "model/trainable_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "base/error.h"

namespace malina::model {

using base::Error;
using base::Fault;
using format::TensorInfo;
using math::Slice;

namespace {

// Tensors in float32 that are made row by row when they are read.
class FloatCheckpoint : public format::Checkpoint {
 public:
  explicit FloatCheckpoint(std::shared_ptr<const format::Checkpoint> base, MetadataTexts texts = {})
      : base_(std::move(base)),
        texts_(std::move(texts)),
        tensors_(base_->tensors().begin(), base_->tensors().end()) {
    const math::Encoding& encoding = *math::find_encoding("f32");
    for (TensorInfo& tensor : tensors_) {
      if (!is_rotary_table(tensor.name)) {
        tensor.encoding = &encoding;
        tensor.bytes = tensor.rows() * encoding.row_bytes(tensor.columns());
      }
      by_name_.emplace(tensor.name, &tensor);
    }
    const auto replaced = [&](const std::string& key) {
      return key == "general.file_type" ||
             std::any_of(texts_.begin(), texts_.end(),
                         [&](const auto& text) { return text.first == key; });
    };
    for (const auto& entry : base_->metadata().entries())  // views the base's texts
      if (!replaced(entry.key)) metadata_.add(entry.key, entry.value, entry.stored);
    for (const auto& [key, value] : texts_) metadata_.add(key, std::string_view(value));
    metadata_.add("general.file_type", std::uint64_t{0});  // llama.cpp's number of float32
  }

  const format::Metadata& metadata() const override { return metadata_; }
  std::span<const TensorInfo> tensors() const override { return tensors_; }
  std::span<const std::filesystem::path> files() const override { return base_->files(); }
  std::uint64_t total_bytes() const override {
    std::uint64_t bytes = 0;
    for (const TensorInfo& tensor : tensors_) bytes += tensor.bytes;
    return bytes;
  }
  std::string format_name() const override { return base_->format_name(); }
  std::span<const std::string> warnings() const override { return base_->warnings(); }
  void check() const override { base_->check(); }
  const TensorInfo* find(std::string_view name) const override {
    const auto place = by_name_.find(name);
    return place == by_name_.end() ? nullptr : place->second;
  }

  void read(const TensorInfo& tensor, std::uint64_t offset,
            std::span<std::byte> output) const override {
    if (is_rotary_table(tensor.name)) return base_->read(*base_->find(tensor.name), offset, output);
    if (offset > tensor.bytes || output.size() > tensor.bytes - offset)
      throw Error(Fault::internal, fmt::format("{} bytes at {} were asked of tensor {}",
                                               output.size(), offset, tensor.name));
    const std::uint64_t row_bytes = tensor.columns() * sizeof(float);
    std::vector<float> values(tensor.columns());
    while (!output.empty()) {
      const std::uint64_t within = offset % row_bytes;
      const std::size_t count = std::min<std::uint64_t>(output.size(), row_bytes - within);
      make_row(tensor, offset / row_bytes, values);
      std::memcpy(output.data(), reinterpret_cast<const std::byte*>(values.data()) + within, count);
      output = output.subspan(count);
      offset += count;
    }
  }

 protected:
  virtual void make_row(const TensorInfo& tensor, std::uint64_t row,
                        std::span<float> values) const {
    const TensorInfo& source = *base_->find(tensor.name);
    const std::uint64_t bytes = source.encoding->row_bytes(source.columns());
    std::vector<std::byte> file_row(bytes);
    base_->read(source, row * bytes, file_row);
    source.encoding->decode(file_row.data(), values.size(), values.data());
  }

 private:
  std::shared_ptr<const format::Checkpoint> base_;
  MetadataTexts texts_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string_view, const TensorInfo*> by_name_;
  format::Metadata metadata_;
};

class TrainedCheckpoint final : public FloatCheckpoint {
 public:
  // Not owned: the model of the weights holds it.
  TrainedCheckpoint(const TrainableWeights& weights, MetadataTexts texts)
      : FloatCheckpoint({std::shared_ptr<void>(), &weights.model().checkpoint()}, std::move(texts)),
        weights_(weights) {}

 protected:
  void make_row(const TensorInfo& tensor, std::uint64_t row,
                std::span<float> values) const override {
    weights_.read_row(*weights_.model().checkpoint().find(tensor.name), row,
                      TrainableWeights::What::weights, values);
  }

 private:
  const TrainableWeights& weights_;
};

const math::Buffer& memory_of(const Model& model) { return *model.embedding().buffer; }

}  // namespace

std::shared_ptr<const format::Checkpoint> in_float32(
    std::shared_ptr<const format::Checkpoint> checkpoint) {
  return std::make_shared<FloatCheckpoint>(std::move(checkpoint));
}

std::shared_ptr<const format::Checkpoint> trained_checkpoint(const TrainableWeights& weights,
                                                             MetadataTexts texts) {
  return std::make_shared<TrainedCheckpoint>(weights, std::move(texts));
}

void check_trainable(const Model& model) {
  if (model.sizes().experts == 0) return;
  throw Error(Fault::unsupported,
              fmt::format("{}: has {} experts, and a model with experts (Mixtral) cannot be "
                          "trained whole: an adapter can be",
                          model.checkpoint().files()[0].string(), model.sizes().experts));
}

TrainableWeights::TrainableWeights(std::shared_ptr<const Model> model, math::Device& device)
    : model_(std::move(model)), size_(model_->weight_bytes() / sizeof(float)) {
  check_trainable(*model_);
  for (const Model::Matrix& matrix : model_->matrices())
    math::require(matrix.slice->encoding->name == "f32", "trainable weights",
                  "a matrix that is not in float32");
  find_parts();
  gradients_ = device.allocate(size_ * sizeof(float));
}

Slice TrainableWeights::gradient(const Slice& weight) const {
  math::require(weight.buffer == &memory_of(*model_), "trainable weights",
                "a weight of another model");
  Slice result = weight;
  result.buffer = gradients_.get();
  return result;
}

std::span<float> TrainableWeights::parameters() {
  auto* values = reinterpret_cast<float*>(memory_of(*model_).host());
  return {values, values == nullptr ? 0 : size_};
}

std::span<float> TrainableWeights::gradients() {
  auto* values = reinterpret_cast<float*>(gradients_->host());
  return {values, values == nullptr ? 0 : size_};
}

void TrainableWeights::add_vector(const std::string& name, const Slice& slice) {
  if (!slice) return;
  const auto same = std::find_if(tensors_.begin(), tensors_.end(),
                                 [&](const Tensor& tensor) { return tensor.name == name; });
  Tensor& tensor = same == tensors_.end() ? tensors_.emplace_back(Tensor{name, {}}) : *same;
  std::uint64_t first = 0;
  for (const Part& part : tensor.parts) first += part.slice->columns;
  tensor.parts.push_back({&slice, first});
}

// Vectors by the names that the loader knows them by; every tensor must be covered.
void TrainableWeights::find_parts() {
  for (const Model::Matrix& matrix : model_->matrices()) {
    const bool goes_on = !tensors_.empty() && tensors_.back().name == matrix.tensor->name;
    Tensor& tensor =
        goes_on ? tensors_.back() : tensors_.emplace_back(Tensor{matrix.tensor->name, {}});
    const std::uint64_t first =
        goes_on ? tensor.parts.back().first + tensor.parts.back().slice->rows : 0;
    tensor.parts.push_back({matrix.slice, first});
  }
  for (std::size_t i = 0; i < model_->layers().size(); ++i) {
    const LayerWeights& layer = model_->layers()[i];
    const auto named = [&](const char* name) { return fmt::format("blk.{}.{}", i, name); };
    const bool fused = model_->checkpoint().find(named("attn_qkv.bias")) != nullptr;
    add_vector(named("attn_norm.weight"), layer.attention_norm);
    add_vector(named("attn_norm.bias"), layer.attention_norm_bias);
    add_vector(named("ffn_norm.weight"), layer.feed_forward_norm);
    add_vector(named("ffn_norm.bias"), layer.feed_forward_norm_bias);
    add_vector(named("attn_q_norm.weight"), layer.query_norm);
    add_vector(named("attn_k_norm.weight"), layer.key_norm);
    add_vector(named("post_attention_norm.weight"), layer.attention_post_norm);
    add_vector(named("post_ffw_norm.weight"), layer.feed_forward_post_norm);
    add_vector(named(fused ? "attn_qkv.bias" : "attn_q.bias"), layer.query_bias);
    add_vector(named(fused ? "attn_qkv.bias" : "attn_k.bias"), layer.key_bias);
    add_vector(named(fused ? "attn_qkv.bias" : "attn_v.bias"), layer.value_bias);
    add_vector(named("attn_output.bias"), layer.output_bias);
    add_vector(named("ffn_up.bias"), layer.up_bias);
    add_vector(named("ffn_down.bias"), layer.down_bias);
  }
  add_vector("output_norm.weight", model_->final_norm());
  add_vector("output_norm.bias", model_->final_norm_bias());
  add_vector("output.bias", model_->head_bias());
  for (const TensorInfo& tensor : model_->checkpoint().tensors()) {
    if (is_rotary_table(tensor.name)) continue;
    const Tensor* const found = find(tensor.name);
    std::uint64_t values = 0;
    if (found != nullptr)
      for (const Part& part : found->parts) values += part.slice->rows * part.slice->columns;
    math::require(values == tensor.rows() * tensor.columns(), "trainable weights",
                  "a tensor that is not held in whole: " + tensor.name);
  }
}

const TrainableWeights::Tensor* TrainableWeights::find(std::string_view name) const {
  const auto place = std::find_if(tensors_.begin(), tensors_.end(),
                                  [&](const Tensor& tensor) { return tensor.name == name; });
  return place == tensors_.end() ? nullptr : &*place;
}

bool TrainableWeights::has(const TensorInfo& tensor) const { return find(tensor.name) != nullptr; }

const float* TrainableWeights::at(const Slice& slice, What what) const {
  const math::Buffer& memory = what == What::gradients ? *gradients_ : memory_of(*model_);
  return reinterpret_cast<const float*>(memory.host() + slice.offset);
}

void TrainableWeights::read_row(const TensorInfo& tensor, std::uint64_t row, What what,
                                std::span<float> output) const {
  const Tensor* const found = find(tensor.name);
  math::require(found != nullptr && output.size() == tensor.columns(), "trainable weights",
                "a row that is not there");
  for (const Part& part : found->parts) {
    const Slice& slice = *part.slice;
    const float* values = at(slice, what);
    if (slice.encoding == nullptr) {  // a vector, or some of its values
      std::copy(values, values + slice.columns,
                output.begin() + static_cast<std::ptrdiff_t>(part.first));
      continue;
    }
    if (row < part.first || row - part.first >= slice.rows) continue;
    const std::uint64_t own = row - part.first;
    const float* group =
        values + own / math::kGroupRows * math::kGroupRows * slice.columns + own % math::kGroupRows;
    for (std::size_t k = 0; k < slice.columns; ++k) output[k] = group[k * math::kGroupRows];
  }
}

}  // namespace malina::model
