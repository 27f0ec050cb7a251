// Reading of model/peft.h.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json_text.h"
#include "base/text_file.h"
#include "format/quote.h"
#include "format/safetensors.h"
#include "model/peft.h"
#include "model/peft_config.h"
#include "model/peft_layout.h"

namespace malina::model {
namespace {

using base::Error;
using base::Fault;
using format::in_quotes;
using format::SafetensorsTensor;
using std::filesystem::path;

constexpr const char* kConfig = "adapter_config.json";
constexpr const char* kWeights = "adapter_model.safetensors";
constexpr const char* kPickle = "adapter_model.bin";
constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::uint64_t kLargestConfig = std::uint64_t{4} << 20;

bool is_there(const path& file) {
  std::error_code ignored;
  return std::filesystem::exists(file, ignored);
}

nlohmann::ordered_json read_config(const path& file) {
  const std::string text = base::read_small_file(file, kLargestConfig);
  // The order of patterns decides, and PEFT names every module of a large model where it must.
  return base::parse_json<nlohmann::ordered_json>(text, file.string(), {.members = 8192});
}

class Reader {
 public:
  Reader(const path& directory, const Model& model)
      : model_(model),
        config_(read_config(directory / kConfig), (directory / kConfig).string()),
        weights_(open_weights(directory)),
        body_(find_body()) {}

  PeftAdapter run() {
    AdapterTensors& tensors = result_.tensors;
    tensors.task = config_.task();
    tensors.layers.resize(model_.layers().size());
    for (const LinearModule& module : linear_modules(model_.architecture()))
      for (std::size_t layer = 0; layer < tensors.layers.size(); ++layer)
        if (weight_of(model_.layers()[layer], module.parts.front())) read_module(module, layer);
    read_head();
    refuse_superfluous();
    if (used_.empty())
      throw Error(Fault::corrupt_file,
                  fmt::format("{}: it holds no adapted layer", weights_.paths()[0].string()));
    weights_.check();
    result_.base_name = config_.base_name();
    result_.warnings = config_.warnings();
    return std::move(result_);
  }

 private:
  static format::SafetensorsModel open_weights(const path& directory) {
    if (!is_there(directory / kWeights) && is_there(directory / kPickle))
      throw Error(Fault::unsupported,
                  fmt::format("{}: the weights are a Python pickle, which malina does not read: "
                              "load the adapter with PEFT and save_pretrained it as safetensors",
                              (directory / kPickle).string()));
    return format::SafetensorsModel::open_file(directory / kWeights);
  }

  std::string_view find_body() const {
    const auto bodies = model_.architecture().hugging_face.bodies;
    for (const std::string_view body : bodies) {
      const std::string begin = fmt::format("{}{}layers.", kPrefix, body);
      if (std::ranges::any_of(weights_.tensors(), [&](const SafetensorsTensor& tensor) {
            return tensor.name.starts_with(begin);
          }))
        return body;
    }
    return bodies.front();
  }

  [[noreturn]] void fail(Fault fault, std::string_view tensor, std::string_view cause) const {
    throw Error(fault, fmt::format("{}: tensor {} {}", weights_.paths()[0].string(),
                                   in_quotes(tensor), cause));
  }

  std::vector<float> values_of(const SafetensorsTensor& tensor,
                               const std::vector<std::uint64_t>& shape) {
    if (tensor.encoding == nullptr)
      fail(Fault::unsupported, tensor.name,
           fmt::format("is of type {}; adapters are read as F32, F16 or BF16", tensor.type));
    if (tensor.shape != shape)
      fail(Fault::corrupt_file, tensor.name,
           fmt::format("has shape [{}], expected [{}]", fmt::join(tensor.shape, ", "),
                       fmt::join(shape, ", ")));
    used_.insert(tensor.name);
    std::vector<std::byte> bytes(tensor.bytes);
    weights_.read(tensor, 0, bytes);
    std::vector<float> values(tensor.bytes / tensor.encoding->block_bytes);
    tensor.encoding->decode(bytes.data(), values.size(), values.data());
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); }))
      fail(Fault::corrupt_file, tensor.name, "holds a value that is not a finite number");
    return values;
  }

  void read_module(const LinearModule& module, std::size_t layer) {
    const std::string name = module_name(module, body_, layer);
    const std::string a_name = fmt::format("{}{}.lora_A.weight", kPrefix, name);
    const std::string b_name = fmt::format("{}{}.lora_B.weight", kPrefix, name);
    const SafetensorsTensor* const a = weights_.find(a_name);
    const SafetensorsTensor* const b = weights_.find(b_name);
    if (a == nullptr && b == nullptr) return check_absent(name, a_name);
    if (a == nullptr || b == nullptr)
      fail(Fault::corrupt_file, a == nullptr ? a_name : b_name, "is missing");
    if (!config_.targets(name))
      fail(Fault::corrupt_file, a_name,
           "is of a module that adapter_config.json does not name as a target");
    LowRankMatrix matrix{.rank = config_.rank(name),
                         .inputs = weight_of(model_.layers()[layer], module.parts[0]).columns,
                         .alpha = config_.alpha(name),
                         .rank_stabilised = config_.rank_stabilised(),
                         .a = {},
                         .b = {}};
    for (const Projection part : module.parts)
      matrix.outputs += weight_of(model_.layers()[layer], part).rows;
    matrix.a = values_of(*a, {matrix.rank, matrix.inputs});
    matrix.b = values_of(*b, {matrix.outputs, matrix.rank});
    if (!std::isfinite(matrix.scale()))
      fail(Fault::corrupt_file, a_name, "has a scale that is not a finite number");
    take_apart(matrix, layer, module, model_, result_.tensors, RowOrder::of_the_directory);
  }

  // PEFT would leave such a module at its random beginning, which adds nothing.
  void check_absent(const std::string& name, const std::string& tensor) const {
    if (config_.targets(name) && !config_.targets_all_linear())
      fail(Fault::corrupt_file, tensor, "is missing: adapter_config.json names its module");
  }

  void read_head() {
    for (const std::string_view module : {"score", "classifier"}) {
      const std::string name = fmt::format("{}{}", kPrefix, module);
      const SafetensorsTensor* const weight = weights_.find(name + ".weight");
      if (weight == nullptr) continue;
      if (weight->shape.size() != 2 || weight->shape[0] == 0)
        fail(Fault::corrupt_file, weight->name,
             fmt::format("has shape [{}], expected [labels, {}]", fmt::join(weight->shape, ", "),
                         model_.sizes().width));
      ClassificationHead& head = result_.tensors.head;
      head.labels = weight->shape[0];
      head.width = model_.sizes().width;
      head.weight = values_of(*weight, {head.labels, head.width});
      if (const SafetensorsTensor* bias = weights_.find(name + ".bias"))
        head.bias = values_of(*bias, {head.labels});
      break;
    }
    const bool wanted = config_.task() != AdapterTask::language_model;
    if (wanted && !result_.tensors.head)
      fail(Fault::corrupt_file, fmt::format("{}score.weight", kPrefix),
           "is missing: task_type asks for a classification head");
    if (!wanted && result_.tensors.head)
      fail(Fault::corrupt_file, fmt::format("{}score.weight", kPrefix),
           "is there, and task_type asks for none");
  }

  void refuse_superfluous() const {
    for (const SafetensorsTensor& tensor : weights_.tensors())
      if (!used_.contains(tensor.name)) fail(Fault::unsupported, tensor.name, reason(tensor.name));
  }

  std::string reason(std::string_view tensor) const {
    const auto holds = [&](std::string_view text) {
      return tensor.find(text) != std::string_view::npos;
    };
    if (holds("lora_magnitude_vector")) return "is DoRA's, which malina does not compute";
    if (holds("lora_embedding_")) return "adapts the embedding, which malina does not";
    if (holds("lm_head."))
      return model_.sizes().tied
                 ? "adapts the output layer, which is the embedding too: the two cannot differ"
                 : "adapts the output layer, which malina does not";
    if (holds(".lora_bias") || tensor.ends_with(".lora_B.bias"))
      return "is a bias of B, which malina does not compute";
    return fmt::format("is not of a layer of family {} with {} layers that malina adapts",
                       model_.architecture().name, model_.layers().size());
  }

  const Model& model_;
  PeftConfig config_;
  format::SafetensorsModel weights_;
  std::string_view body_;
  std::set<std::string_view> used_;
  PeftAdapter result_;
};

}  // namespace

path peft_directory(const path& place) {
  if (place.filename() != kConfig) return place;
  return place.has_parent_path() ? place.parent_path() : path(".");
}

bool is_peft(const path& place) {
  if (place.filename() == kConfig) return is_there(place);
  std::error_code ignored;
  return std::filesystem::is_directory(place, ignored) && is_there(place / kConfig);
}

PeftAdapter read_peft(const path& directory, const Model& model) {
  return Reader(peft_directory(directory), model).run();
}

}  // namespace malina::model
