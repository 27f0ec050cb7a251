// The tensors of model/hugging_face_export.h; its config.json is made in
// hugging_face_export_config.cpp.
#include "model/hugging_face_export.h"

#include <fmt/format.h>

#include <cstring>
#include <map>
#include <set>

#include "base/error.h"
#include "format/quote.h"
#include "model/hugging_face_tensors.h"

namespace malina::model {
namespace {

using base::Error;
using base::Fault;
using format::TensorInfo;

// A tensor of the view, and where its bytes are.
struct Viewed {
  TensorInfo info;
  const TensorInfo* source = nullptr;
  std::uint64_t first_byte = 0;    // of the source: of one expert of several
  std::uint64_t paired_heads = 0;  // 0: rows as they are (TensorRule::Rows)
  std::vector<float> values;       // instead of the source's bytes
};

class View final : public format::Checkpoint {
 public:
  View(std::shared_ptr<const format::Checkpoint> own, const Model& model)
      : own_(std::move(own)), sizes_(model.sizes()), family_(model.architecture()) {
    for (const TensorRule& rule : family_.hugging_face.tensors) {
      const bool layered = rule.ours.find(kHole) != std::string_view::npos;
      for (std::uint64_t layer = 0; layer < (layered ? sizes_.layers : 1); ++layer)
        apply(rule, filled(rule.theirs, layer), filled(rule.ours, layer));
    }
    refuse_superfluous();
    for (const Viewed& tensor : viewed_) tensors_.push_back(tensor.info);
    for (std::size_t i = 0; i < viewed_.size(); ++i) by_name_.emplace(viewed_[i].info.name, i);
  }

  const format::Metadata& metadata() const override { return own_->metadata(); }
  std::span<const TensorInfo> tensors() const override { return tensors_; }
  std::span<const std::filesystem::path> files() const override { return own_->files(); }
  std::uint64_t total_bytes() const override { return own_->total_bytes(); }
  std::string format_name() const override { return own_->format_name(); }
  std::span<const std::string> warnings() const override { return own_->warnings(); }
  void check() const override { own_->check(); }
  const TensorInfo* find(std::string_view name) const override {
    const auto place = by_name_.find(name);
    return place == by_name_.end() ? nullptr : &tensors_[place->second];
  }

  void read(const TensorInfo& tensor, std::uint64_t offset,
            std::span<std::byte> output) const override {
    const Viewed& viewed = viewed_[by_name_.at(tensor.name)];
    if (offset > viewed.info.bytes || output.size() > viewed.info.bytes - offset)
      throw Error(Fault::internal,
                  fmt::format("{} bytes at {} were asked of tensor {}", output.size(), offset,
                              format::in_quotes(tensor.name)));
    if (!viewed.values.empty())
      std::memcpy(output.data(), std::as_bytes(std::span(viewed.values)).data() + offset,
                  output.size());
    else if (viewed.paired_heads == 0)
      own_->read(*viewed.source, viewed.first_byte + offset, output);
    else
      read_halves(viewed, offset, output);
  }

 private:
  void apply(const TensorRule& rule, const std::string& theirs, const std::string& ours) {
    const bool stacked = theirs.find(kHole) != std::string::npos;
    if (stacked) return apply_experts(theirs, ours);
    for (const char* suffix : {".weight", ".bias"})
      if (const TensorInfo* source = own_->find(ours + suffix)) add(rule, theirs + suffix, *source);
  }

  void add(const TensorRule& rule, std::string name, const TensorInfo& source) {
    used_.insert(source.name);
    Viewed viewed{.info = source, .source = &source, .values = {}};
    viewed.info.name = std::move(name);
    const float offset = family_.hugging_face.norm_offset;
    const bool is_norm = rule.theirs.ends_with("norm") && source.name.ends_with(".weight");
    if (source.shape.size() == 1 && is_norm && offset != 0) {
      viewed.values = values_of(source);
      for (float& value : viewed.values) value -= offset;
      viewed.info.encoding = math::find_encoding("f32");
      viewed.info.bytes = viewed.values.size() * sizeof(float);
    }
    if (rule.rows == TensorRule::Rows::pairs_of_queries) viewed.paired_heads = sizes_.heads;
    if (rule.rows == TensorRule::Rows::pairs_of_keys) viewed.paired_heads = sizes_.kv_heads;
    viewed_.push_back(std::move(viewed));
  }

  // One tensor of all experts, or in older files one of each.
  void apply_experts(const std::string& theirs, const std::string& ours) {
    const TensorInfo* together = own_->find(ours + ".weight");
    for (std::uint64_t i = 0; i < sizes_.experts; ++i) {
      constexpr std::string_view kTogether = "_exps";
      const std::string apart = fmt::format(
          "{}.{}.weight", std::string_view(ours).substr(0, ours.size() - kTogether.size()), i);
      const TensorInfo* source = together != nullptr ? together : own_->find(apart);
      if (source == nullptr)
        throw Error(Fault::corrupt_file,
                    fmt::format("{}: tensor {} is missing", files()[0].string(), apart));
      used_.insert(source->name);
      Viewed viewed{.info = *source, .source = source, .values = {}};
      viewed.info.name = filled(theirs, i) + ".weight";
      if (together != nullptr) {
        viewed.info.shape.resize(2);
        viewed.info.bytes /= sizes_.experts;
        viewed.first_byte = i * viewed.info.bytes;
      }
      viewed_.push_back(std::move(viewed));
    }
  }

  std::vector<float> values_of(const TensorInfo& tensor) const {
    std::vector<std::byte> bytes(tensor.bytes);
    own_->read(tensor, 0, bytes);
    std::vector<float> values(tensor.columns());
    tensor.encoding->decode(bytes.data(), values.size(), values.data());
    return values;
  }

  void refuse_superfluous() const {
    for (const TensorInfo& tensor : own_->tensors())
      if (!used_.contains(tensor.name) && !is_rotary_table(tensor.name))
        throw Error(Fault::unsupported,
                    fmt::format("{}: tensor {} has no place in a Hugging Face directory of family "
                                "{}",
                                files()[tensor.file].string(), tensor.name, family_.name));
  }

  // Row s * half + j of a head is the model's row 2j + s.
  void read_halves(const Viewed& viewed, std::uint64_t offset, std::span<std::byte> output) const {
    const bool vector = viewed.info.shape.size() == 1;
    const std::uint64_t rows = vector ? viewed.info.columns() : viewed.info.rows();
    const std::uint64_t row_bytes = viewed.info.bytes / rows;
    const std::uint64_t half = rows / viewed.paired_heads / 2;
    while (!output.empty()) {
      const std::uint64_t row = offset / row_bytes, within = offset % row_bytes;
      const std::uint64_t head = row / (2 * half), place = row % (2 * half);
      const std::uint64_t original = head * 2 * half + place % half * 2 + place / half;
      const std::size_t count = std::min<std::uint64_t>(output.size(), row_bytes - within);
      own_->read(*viewed.source, original * row_bytes + within, output.first(count));
      output = output.subspan(count);
      offset += count;
    }
  }

  std::shared_ptr<const format::Checkpoint> own_;
  const Sizes& sizes_;
  const Architecture& family_;
  std::vector<Viewed> viewed_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
  std::set<std::string_view> used_;
};

}  // namespace

std::shared_ptr<const format::Checkpoint> as_hugging_face(
    std::shared_ptr<const format::Checkpoint> checkpoint, const Model& model) {
  return std::make_shared<View>(std::move(checkpoint), model);
}

}  // namespace malina::model
