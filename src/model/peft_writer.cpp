// Writing of model/peft.h.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/atomic_folder.h"
#include "base/error.h"
#include "format/safetensors_writer.h"
#include "model/peft.h"
#include "model/peft_layout.h"

namespace malina::model {
namespace {

using Json = nlohmann::ordered_json;
using std::filesystem::path;

constexpr std::string_view kPrefix = "base_model.model.";

struct Entry {
  const LinearModule* module;
  std::size_t layer;
  LowRankMatrix matrix;  // in the directory's form
  std::string name;      // of the module
};

struct Setting {
  std::size_t rank;
  double alpha;
  auto operator<=>(const Setting&) const = default;
};

class Writer {
 public:
  Writer(const AdapterTensors& tensors, const Model& model, const PeftFiles& files)
      : tensors_(tensors), files_(files), modules_(linear_modules(model.architecture())) {
    const std::string_view body = model.architecture().hugging_face.bodies.front();
    for (const LinearModule& module : modules_)
      for (std::size_t layer = 0; layer < tensors.layers.size(); ++layer) {
        if (!weight_of(model.layers()[layer], module.parts.front())) continue;
        LowRankMatrix matrix = fused(tensors, layer, module, model, RowOrder::of_the_directory);
        if (matrix)
          entries_.push_back({&module, layer, std::move(matrix), module_name(module, body, layer)});
      }
    choose_setting();
  }

  void write(const path& directory) const {
    base::AtomicFolder folder(directory);
    write_weights(folder.place() / "adapter_model.safetensors");
    folder.write("adapter_config.json", config().dump(2) + "\n");
    if (!files_.model_card.empty()) folder.write("README.md", files_.model_card);
    for (const PeftFiles::Extra& extra : files_.extra) folder.write(extra.name, extra.content);
    folder.commit();
  }

 private:
  // One way of scaling is of all, and the commonest rank and alpha are; others become patterns.
  void choose_setting() {
    if (entries_.empty()) return;
    stabilised_ = entries_.front().matrix.rank_stabilised;
    std::map<Setting, std::size_t> counts;
    for (const Entry& entry : entries_) ++counts[setting_of(entry)];
    common_ =
        std::ranges::max_element(counts, {}, [](const auto& each) { return each.second; })->first;
  }

  Setting setting_of(const Entry& entry) const {
    const LowRankMatrix& matrix = entry.matrix;
    const double root = std::sqrt(static_cast<double>(matrix.rank));
    if (matrix.rank_stabilised == stabilised_) return {matrix.rank, matrix.alpha};
    return {matrix.rank, stabilised_ ? matrix.alpha / root : matrix.alpha * root};
  }

  static Json number(double value) {
    if (value == std::floor(value) && std::abs(value) < 1e15)
      return static_cast<std::int64_t>(value);
    return value;
  }

  // Last names where each is adapted in all layers, else what stands behind "layers.".
  Json targets() const {
    std::set<std::string> names;
    for (const LinearModule& module : modules_) {
      std::size_t count = 0;
      for (const Entry& entry : entries_) count += entry.module == &module ? 1 : 0;
      if (count == 0) continue;
      if (count == tensors_.layers.size()) {
        names.emplace(last_name(module));
        continue;
      }
      for (const Entry& entry : entries_)
        if (entry.module == &module) names.insert(in_layers(entry));
    }
    return Json(std::vector<std::string>(names.begin(), names.end()));
  }

  static std::string in_layers(const Entry& entry) {
    return fmt::format("layers.{}.{}", entry.layer, within_layer(*entry.module));
  }

  Json config() const {
    Json ranks = Json::object(), alphas = Json::object();
    for (const Entry& entry : entries_) {
      const Setting setting = setting_of(entry);
      if (setting.rank != common_.rank) ranks[in_layers(entry)] = setting.rank;
      if (setting.alpha != common_.alpha) alphas[in_layers(entry)] = number(setting.alpha);
    }
    return {
        {"alpha_pattern", alphas},
        {"auto_mapping", nullptr},
        {"base_model_name_or_path", files_.base_name},
        {"bias", "none"},
        {"exclude_modules", nullptr},
        {"fan_in_fan_out", false},
        {"inference_mode", true},
        {"init_lora_weights", true},
        {"layers_pattern", nullptr},
        {"layers_to_transform", nullptr},
        {"lora_alpha", number(common_.alpha)},
        {"lora_bias", false},
        {"lora_dropout", files_.dropout},
        {"modules_to_save",
         tensors_.head ? Json(std::vector<std::string>{"classifier", "score"}) : Json()},
        {"peft_type", "LORA"},
        {"r", common_.rank},
        {"rank_pattern", ranks},
        {"revision", nullptr},
        {"target_modules", targets()},
        {"task_type", task()},
        {"use_dora", false},
        {"use_rslora", stabilised_},
    };
  }

  std::string_view task() const {
    switch (tensors_.task) {
      case AdapterTask::language_model:
        return "CAUSAL_LM";
      case AdapterTask::sequence_classification:
        return "SEQ_CLS";
      case AdapterTask::token_classification:
        return "TOKEN_CLS";
    }
    return "CAUSAL_LM";
  }

  // By name, as PEFT stores them.
  void write_weights(const path& file) const {
    struct Tensor {
      std::vector<std::uint64_t> shape;
      const std::vector<float>* values;
    };
    std::map<std::string, Tensor> tensors;
    for (const Entry& entry : entries_) {
      const LowRankMatrix& matrix = entry.matrix;
      tensors[fmt::format("{}{}.lora_A.weight", kPrefix, entry.name)] = {
          {matrix.rank, matrix.inputs}, &matrix.a};
      tensors[fmt::format("{}{}.lora_B.weight", kPrefix, entry.name)] = {
          {matrix.outputs, matrix.rank}, &matrix.b};
    }
    const ClassificationHead& head = tensors_.head;
    if (head)
      tensors[fmt::format("{}score.weight", kPrefix)] = {{head.labels, head.width}, &head.weight};
    if (!head.bias.empty())
      tensors[fmt::format("{}score.bias", kPrefix)] = {{head.labels}, &head.bias};
    std::vector<format::SafetensorsPlan> plan;
    for (const auto& [name, tensor] : tensors)
      plan.push_back({name, math::find_encoding("f32"), tensor.shape});
    format::SafetensorsWriter writer(file, plan);
    for (const auto& [name, tensor] : tensors)
      writer.write(std::as_bytes(std::span(*tensor.values)));
    writer.commit();
  }

  const AdapterTensors& tensors_;
  const PeftFiles& files_;
  std::vector<LinearModule> modules_;
  std::vector<Entry> entries_;
  Setting common_{8, 8};
  bool stabilised_ = false;
};

}  // namespace

void write_peft(const path& directory, const AdapterTensors& tensors, const Model& model,
                const PeftFiles& files) {
  check_fits(tensors, model);
  Writer(tensors, model, files).write(directory);
}

}  // namespace malina::model
