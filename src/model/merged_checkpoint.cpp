#include "model/merged_checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "base/error.h"
#include "format/quote.h"
#include "model/hugging_face_tensors.h"
#include "model/peft_layout.h"

namespace malina::model {
namespace {

using base::Error;
using base::Fault;
using format::TensorInfo;

class MergedCheckpoint final : public format::Checkpoint {
 public:
  MergedCheckpoint(std::shared_ptr<const format::Checkpoint> base, const Model& model,
                   const AdapterTensors& tensors, const math::Encoding* encoding)
      : base_(std::move(base)), tensors_(base_->tensors().begin(), base_->tensors().end()) {
    for (std::size_t layer = 0; layer < tensors.layers.size(); ++layer)
      for (const LinearModule& module : linear_modules(model.architecture())) {
        if (!weight_of(model.layers()[layer], module.parts.front())) continue;
        add(tensors, layer, module, model, encoding);
      }
    for (const TensorInfo& tensor : tensors_) by_name_.emplace(tensor.name, &tensor);
  }

  const format::Metadata& metadata() const override { return base_->metadata(); }
  std::span<const TensorInfo> tensors() const override { return tensors_; }
  std::span<const std::filesystem::path> files() const override { return base_->files(); }
  std::uint64_t total_bytes() const override { return base_->total_bytes(); }
  std::string format_name() const override { return base_->format_name(); }
  std::span<const std::string> warnings() const override { return base_->warnings(); }
  void check() const override { base_->check(); }
  const TensorInfo* find(std::string_view name) const override {
    const auto place = by_name_.find(name);
    return place == by_name_.end() ? nullptr : place->second;
  }

  void read(const TensorInfo& tensor, std::uint64_t offset,
            std::span<std::byte> output) const override {
    const auto adapted = additions_.find(tensor.name);
    if (adapted == additions_.end()) return base_->read(*base_->find(tensor.name), offset, output);
    const TensorInfo& own = *find(tensor.name);
    if (offset > own.bytes || output.size() > own.bytes - offset)
      throw Error(Fault::internal, fmt::format("{} bytes at {} were asked of tensor {}",
                                               output.size(), offset, format::in_quotes(own.name)));
    const std::uint64_t row_bytes = own.encoding->row_bytes(own.columns());
    std::vector<std::byte> row_of_output(row_bytes);
    while (!output.empty()) {
      const std::uint64_t row = offset / row_bytes, within = offset % row_bytes;
      const std::size_t count = std::min<std::uint64_t>(output.size(), row_bytes - within);
      compute(adapted->second, own, row, row_of_output);
      std::memcpy(output.data(), row_of_output.data() + within, count);
      output = output.subspan(count);
      offset += count;
    }
  }

 private:
  struct Addition {
    const TensorInfo* source;  // of the base
    LowRankMatrix matrix;
  };

  void add(const AdapterTensors& tensors, std::size_t layer, const LinearModule& module,
           const Model& model, const math::Encoding* encoding) {
    LowRankMatrix matrix = fused(tensors, layer, module, model, RowOrder::of_the_model);
    if (!matrix) return;
    const std::string name = filled(module.ours, layer) + ".weight";
    const TensorInfo* const source = base_->find(name);
    if (source == nullptr)
      throw Error(Fault::unsupported,
                  fmt::format("{}: has no tensor {} that the adapter could be merged into",
                              base_->files()[0].string(), name));
    TensorInfo& own = tensors_[static_cast<std::size_t>(source - base_->tensors().data())];
    if (encoding != nullptr && own.columns() % encoding->block_values == 0) own.encoding = encoding;
    if (own.encoding->encode == nullptr)
      throw Error(Fault::unsupported,
                  fmt::format("{}: tensor {} is {}, which malina reads and does not write: choose "
                              "another encoding with --type",
                              base_->files()[0].string(), name, own.encoding->name));
    own.bytes = own.rows() * own.encoding->row_bytes(own.columns());
    additions_.emplace(name, Addition{source, std::move(matrix)});
  }

  void compute(const Addition& addition, const TensorInfo& own, std::uint64_t row,
               std::span<std::byte> output) const {
    const TensorInfo& source = *addition.source;
    const LowRankMatrix& matrix = addition.matrix;
    const std::uint64_t source_bytes = source.encoding->row_bytes(source.columns());
    std::vector<std::byte> bytes(source_bytes);
    base_->read(source, row * source_bytes, bytes);
    std::vector<float> values(source.columns());
    source.encoding->decode(bytes.data(), values.size(), values.data());
    for (std::size_t r = 0; r < matrix.rank; ++r) {
      const float factor = matrix.scale() * matrix.b[row * matrix.rank + r];
      const float* a = matrix.a.data() + r * matrix.inputs;
      for (std::size_t i = 0; i < values.size(); ++i) values[i] += factor * a[i];
    }
    check_values(values, own);
    own.encoding->encode(values.data(), values.size(), nullptr, output.data());
  }

  // Encodings with half-precision numbers hold no more.
  static void check_values(const std::vector<float>& values, const TensorInfo& own) {
    constexpr float kLargestHalf = 65504;
    const bool wide = own.encoding->name == "f32" || own.encoding->name == "bf16";
    const float most = wide ? std::numeric_limits<float>::max() : kLargestHalf;
    for (const float value : values)
      if (!(std::abs(value) <= most))
        throw Error(Fault::unsupported,
                    fmt::format("tensor {} with the adapter in it holds {}, which {} cannot hold",
                                format::in_quotes(own.name), value, own.encoding->name));
  }

  std::shared_ptr<const format::Checkpoint> base_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string_view, const TensorInfo*> by_name_;
  std::map<std::string, Addition, std::less<>> additions_;
};

}  // namespace

std::shared_ptr<const format::Checkpoint> merged(std::shared_ptr<const format::Checkpoint> base,
                                                 const Model& model, const AdapterTensors& tensors,
                                                 const math::Encoding* encoding) {
  check_fits(tensors, model);
  return std::make_shared<MergedCheckpoint>(std::move(base), model, tensors, encoding);
}

}  // namespace malina::model
