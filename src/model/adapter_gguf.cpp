#include "model/adapter_gguf.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "format/gguf_writer.h"
#include "format/metadata_builder.h"
#include "format/quote.h"
#include "model/hugging_face_tensors.h"
#include "model/peft_layout.h"

namespace malina::model {
namespace {

using base::Error;
using base::Fault;
using format::in_quotes;
using format::TensorInfo;
using std::filesystem::path;

constexpr std::string_view kA = ".weight.lora_a", kB = ".weight.lora_b";

class Reader {
 public:
  Reader(const path& file, const Model& model)
      : model_(model), file_(file.string()), checkpoint_(format::Checkpoint::open(file)) {}

  AdapterTensors run() {
    check_header();
    tensors_.layers.resize(model_.layers().size());
    for (const LinearModule& module : linear_modules(model_.architecture()))
      for (std::size_t layer = 0; layer < tensors_.layers.size(); ++layer)
        if (weight_of(model_.layers()[layer], module.parts.front())) read_module(module, layer);
    for (const TensorInfo& tensor : checkpoint_->tensors())
      if (!used_.contains(tensor.name)) fail(Fault::unsupported, tensor.name, reason(tensor.name));
    if (used_.empty())
      throw Error(Fault::corrupt_file, fmt::format("{}: it holds no adapted layer", file_));
    checkpoint_->check();
    return std::move(tensors_);
  }

 private:
  [[noreturn]] void fail(Fault fault, std::string_view tensor, std::string_view cause) const {
    throw Error(fault, fmt::format("{}: tensor {} {}", file_, in_quotes(tensor), cause));
  }

  void check_header() {
    const format::Metadata& metadata = checkpoint_->metadata();
    const auto refuse = [&](Fault fault, std::string_view cause) {
      throw Error(fault, fmt::format("{}: {}", file_, cause));
    };
    if (!is_gguf_adapter(metadata))
      refuse(Fault::unsupported, "it is not an adapter: its general.type is not \"adapter\"");
    const auto kind = metadata.text("adapter.type").value_or("");
    if (kind != "lora")
      refuse(Fault::unsupported,
             fmt::format("its adapter.type is {}; malina applies \"lora\"", in_quotes(kind)));
    const auto architecture = metadata.text("general.architecture").value_or("");
    if (architecture != model_.architecture().gguf)
      refuse(Fault::invalid_argument,
             fmt::format("it is an adapter of architecture {}, and the base is {}",
                         in_quotes(architecture), model_.architecture().gguf));
    if (metadata.contains("adapter.alora.invocation_tokens"))
      refuse(Fault::unsupported,
             "it sets adapter.alora.invocation_tokens, which malina does not compute");
    const auto alpha = metadata.number("adapter.lora.alpha");
    if (!alpha) refuse(Fault::corrupt_file, "it has no adapter.lora.alpha");
    if (!std::isfinite(*alpha))
      refuse(Fault::corrupt_file, "its adapter.lora.alpha is not a finite number");
    alpha_ = *alpha;
  }

  std::vector<float> values_of(const TensorInfo& tensor, const std::vector<std::uint64_t>& shape) {
    if (tensor.shape != shape)
      fail(Fault::corrupt_file, tensor.name,
           fmt::format("has shape [{}], expected [{}]", fmt::join(tensor.shape, ", "),
                       fmt::join(shape, ", ")));
    used_.insert(tensor.name);
    std::vector<std::byte> bytes(tensor.bytes);
    checkpoint_->read(tensor, 0, bytes);
    std::vector<float> values(tensor.columns() * tensor.rows());
    const std::size_t row_bytes = tensor.encoding->row_bytes(tensor.columns());
    for (std::size_t row = 0; row < tensor.rows(); ++row)
      tensor.encoding->decode(bytes.data() + row * row_bytes, tensor.columns(),
                              values.data() + row * tensor.columns());
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); }))
      fail(Fault::corrupt_file, tensor.name, "holds a value that is not a finite number");
    return values;
  }

  void read_module(const LinearModule& module, std::size_t layer) {
    const std::string name = filled(module.ours, layer);
    const std::string a_name = fmt::format("{}{}", name, kA),
                      b_name = fmt::format("{}{}", name, kB);
    const TensorInfo* const a = checkpoint_->find(a_name);
    const TensorInfo* const b = checkpoint_->find(b_name);
    if (a == nullptr && b == nullptr) return;
    if (a == nullptr || b == nullptr)
      fail(Fault::corrupt_file, a == nullptr ? a_name : b_name, "is missing");
    if (a->shape.size() != 2 || a->shape[1] == 0)
      fail(Fault::corrupt_file, a_name,
           fmt::format("has shape [{}], expected [inputs, rank]", fmt::join(a->shape, ", ")));
    LowRankMatrix matrix{.rank = a->shape[1],
                         .inputs = weight_of(model_.layers()[layer], module.parts[0]).columns};
    for (const Projection part : module.parts)
      matrix.outputs += weight_of(model_.layers()[layer], part).rows;
    // No alpha means a scale of 1.
    matrix.alpha = alpha_ == 0 ? static_cast<double>(matrix.rank) : alpha_;
    matrix.a = values_of(*a, {matrix.inputs, matrix.rank});
    matrix.b = values_of(*b, {matrix.rank, matrix.outputs});
    take_apart(matrix, layer, module, model_, tensors_, RowOrder::of_the_model);
  }

  std::string reason(std::string_view tensor) const {
    if (tensor.starts_with("token_embd.")) return "adapts the embedding, which malina does not";
    if (tensor.starts_with("output."))
      return model_.sizes().tied
                 ? "adapts the output layer, which is the embedding too: the two cannot differ"
                 : "adapts the output layer, which malina does not";
    return fmt::format("is not of a layer of family {} with {} layers that malina adapts",
                       model_.architecture().name, model_.layers().size());
  }

  const Model& model_;
  std::string file_;
  std::shared_ptr<const format::Checkpoint> checkpoint_;
  double alpha_ = 0;
  std::set<std::string_view> used_;
  AdapterTensors tensors_;
};

struct Entry {
  std::string name;
  LowRankMatrix matrix;
  // alpha as llama.cpp has it, which divides by the rank alone.
  double plain_alpha() const {
    const double root = std::sqrt(static_cast<double>(matrix.rank));
    return matrix.rank_stabilised ? matrix.alpha * root : matrix.alpha;
  }
};

std::vector<Entry> entries_of(const AdapterTensors& tensors, const Model& model) {
  std::vector<Entry> entries;
  for (std::size_t layer = 0; layer < tensors.layers.size(); ++layer)
    for (const LinearModule& module : linear_modules(model.architecture())) {
      if (!weight_of(model.layers()[layer], module.parts.front())) continue;
      LowRankMatrix matrix = fused(tensors, layer, module, model, RowOrder::of_the_model);
      if (matrix) entries.push_back({filled(module.ours, layer), std::move(matrix)});
    }
  return entries;
}

// The commonest, so that most matrices stay as they are; never 0, which would mean a scale of 1.
float common_alpha(const std::vector<Entry>& entries) {
  std::map<float, std::size_t> counts{{1.0F, 0}};
  for (const Entry& entry : entries)
    if (const auto alpha = static_cast<float>(entry.plain_alpha()); alpha != 0) ++counts[alpha];
  const auto most =
      std::ranges::max_element(counts, {}, [](const auto& each) { return each.second; });
  return most->first;
}

void fold_scales(std::vector<Entry>& entries, float alpha) {
  for (Entry& entry : entries) {
    if (static_cast<float>(entry.plain_alpha()) == alpha) continue;
    const auto factor = static_cast<float>(entry.plain_alpha() / alpha);
    for (float& value : entry.matrix.b) value *= factor;
  }
}

}  // namespace

bool is_gguf_adapter(const format::Metadata& metadata) {
  return metadata.text("general.type") == "adapter";
}

AdapterTensors read_gguf_adapter(const path& file, const Model& model) {
  return Reader(file, model).run();
}

void write_gguf_adapter(const path& file, const AdapterTensors& tensors, const Model& model,
                        const std::string& name, base::AtomicFile::Existing existing) {
  check_fits(tensors, model);
  if (tensors.head)
    throw Error(Fault::unsupported,
                "the adapter has a classification head, for which a GGUF adapter has no place: "
                "keep it as a PEFT directory");
  std::vector<Entry> entries = entries_of(tensors, model);
  if (entries.empty()) throw Error(Fault::invalid_argument, "the adapter adapts no layer");
  const float alpha = common_alpha(entries);
  fold_scales(entries, alpha);
  format::MetadataBuilder metadata;
  metadata.add_text("general.architecture", std::string(model.architecture().gguf));
  metadata.add_text("general.type", "adapter");
  metadata.add_text("general.name", name);
  metadata.add_text("adapter.type", "lora");
  metadata.add_number("adapter.lora.alpha", alpha);
  metadata.add_integer("general.file_type", 0);
  std::vector<format::TensorPlan> plan;
  const math::Encoding* const single = math::find_encoding("f32");
  for (const Entry& entry : entries) {
    plan.push_back(
        {fmt::format("{}{}", entry.name, kA), single, {entry.matrix.inputs, entry.matrix.rank}});
    plan.push_back(
        {fmt::format("{}{}", entry.name, kB), single, {entry.matrix.rank, entry.matrix.outputs}});
  }
  format::GgufWriter writer(file, metadata.build(file.string()), plan, existing);
  for (const Entry& entry : entries) {
    writer.write(std::as_bytes(std::span(entry.matrix.a)));
    writer.write(std::as_bytes(std::span(entry.matrix.b)));
  }
  writer.commit();
}

}  // namespace malina::model
