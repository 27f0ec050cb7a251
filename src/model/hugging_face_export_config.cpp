// config.json of model/hugging_face_export.h, with the keys that Transformers 4 and 5 both read.
#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "model/hugging_face_export.h"
#include "model/hugging_face_rotary.h"

namespace malina::model {
namespace {

using base::Error;
using base::Fault;
using Json = nlohmann::ordered_json;

class ConfigWriter {
 public:
  ConfigWriter(const format::Checkpoint& checkpoint, const Model& model)
      : checkpoint_(checkpoint), sizes_(model.sizes()), family_(model.architecture()) {}

  Json write() {
    const HuggingFaceForm& form = family_.hugging_face;
    config_ = {{"architectures", {form.classes.front()}}, {"model_type", form.model_type}};
    config_["vocab_size"] = sizes_.vocab;
    config_["hidden_size"] = sizes_.width;
    config_["intermediate_size"] = sizes_.hidden;
    config_["num_hidden_layers"] = sizes_.layers;
    config_["num_attention_heads"] = sizes_.heads;
    config_["num_key_value_heads"] = sizes_.kv_heads;
    if (sizes_.head_width * sizes_.heads != sizes_.width || has_default("head_dim"))
      config_["head_dim"] = sizes_.head_width;
    config_["max_position_embeddings"] = sizes_.context;
    const bool rms = family_.norm == Architecture::Norm::rms;
    config_[rms ? "rms_norm_eps" : "layer_norm_eps"] = shortest(sizes_.epsilon);
    config_["tie_word_embeddings"] = sizes_.tied;
    add_activation();
    add_biases();
    add_window();
    add_rotary();
    if (sizes_.experts != 0) {
      config_["num_local_experts"] = sizes_.experts;
      config_["num_experts_per_tok"] = sizes_.experts_used;
    }
    if (const auto parallel = checkpoint_.metadata().boolean(key("use_parallel_residual")))
      config_["use_parallel_residual"] = *parallel;
    if (has_default("query_pre_attn_scalar")) {
      // An integer, as Transformers wants it, where it is one but for rounding.
      const double scalar = std::pow(double{sizes_.attention_scale}, -2);
      const double whole = std::round(scalar);
      const bool is_whole = std::abs(scalar - whole) <= 1e-5 * whole;
      config_["query_pre_attn_scalar"] =
          is_whole ? Json(static_cast<std::uint64_t>(whole)) : Json(scalar);
    }
    return std::move(config_);
  }

 private:
  std::string key(std::string_view name) const { return fmt::format("{}.{}", family_.gguf, name); }
  bool has_default(std::string_view name) const {
    for (const ConfigDefault& entry : family_.hugging_face.defaults)
      if (entry.key == name) return true;
    return false;
  }
  bool has(const char* tensor) const { return checkpoint_.find(tensor) != nullptr; }
  std::optional<double> number(std::string_view name) const {
    return checkpoint_.metadata().number(key(name));
  }
  [[noreturn]] void unsupported(const std::string& cause) const {
    throw Error(Fault::unsupported, fmt::format("{}: {}", checkpoint_.files()[0].string(), cause));
  }
  // The shortest decimal number that is this float: 1e-05 and not 9.999999747378752e-06.
  static double shortest(float value) { return std::stod(fmt::format("{}", value)); }

  void add_activation() {
    const bool silu = family_.feed_forward.gate == math::Gate::silu;
    const char* const name = silu                         ? "silu"
                             : family_.feed_forward.gated ? "gelu_pytorch_tanh"
                                                          : "gelu_new";
    config_["hidden_act"] = name;
    if (!silu && family_.feed_forward.gated) config_["hidden_activation"] = name;
  }

  // Of families that have them or not, as config.json says.
  void add_biases() {
    if (!has("blk.0.attn_q.bias")) return;
    config_["attention_bias"] = true;
    config_["use_qkv_bias"] = true;
  }

  void add_window() {
    std::uint32_t window = 0;
    Json types = Json::array();
    for (std::size_t i = 0; i < sizes_.layers; ++i) {
      const std::uint32_t own = sizes_.kind_of(i).window;
      if (own != 0) window = own;
      types.push_back(own != 0 ? "sliding_attention" : "full_attention");
    }
    config_["sliding_window"] = window != 0 ? Json(window) : Json();
    if (family_.attention.full_every != 0) {
      config_["layer_types"] = std::move(types);
      config_["sliding_window_pattern"] = family_.attention.full_every;
    }
    if (const auto name = family_.hugging_face.window_switch; !name.empty())
      config_[std::string(name)] = window != 0;
  }

  void add_rotary() {
    config_["rope_theta"] = shortest(static_cast<float>(number("rope.freq_base").value_or(10000)));
    if (family_.attention.window_rotary_base)
      config_["rope_local_base_freq"] = shortest(*family_.attention.window_rotary_base);
    rotated_ = static_cast<std::size_t>(
        number("rope.dimension_count").value_or(static_cast<double>(sizes_.head_width)));
    if (rotated_ != sizes_.head_width)
      config_["partial_rotary_factor"] =
          static_cast<double>(rotated_) / static_cast<double>(sizes_.head_width);
    if (has("rope_factors_long.weight"))
      config_["rope_scaling"] = long_rope();
    else if (has("rope_freqs.weight"))
      config_["rope_scaling"] = llama3();
    else if (const auto type = checkpoint_.metadata().text(key("rope.scaling.type"));
             type && *type == "linear")
      config_["rope_scaling"] = {{"rope_type", "linear"},
                                 {"factor", number("rope.scaling.factor").value_or(1)}};
    else if (type && *type != "none")
      unsupported(fmt::format("the rotary scaling {} is not one that is written", *type));
  }

  std::vector<float> values(const char* name) const {
    const auto& tensor = *checkpoint_.find(name);
    std::vector<std::byte> bytes(tensor.bytes);
    checkpoint_.read(tensor, 0, bytes);
    std::vector<float> result(tensor.columns());
    tensor.encoding->decode(bytes.data(), result.size(), result.data());
    return result;
  }

  static Json list(const std::vector<float>& numbers) {
    Json result = Json::array();
    for (const float number : numbers) result.push_back(shortest(number));
    return result;
  }

  Json long_rope() {
    const auto original = number("rope.scaling.original_context_length").value_or(0);
    config_["original_max_position_embeddings"] = static_cast<std::uint64_t>(original);
    return {{"rope_type", "longrope"},
            {"type", "longrope"},
            {"short_factor", list(values("rope_factors_short.weight"))},
            {"long_factor", list(values("rope_factors_long.weight"))}};
  }

  // The tensor holds what the parameters give; they are found again by trying those that are usual.
  Json llama3() const {
    const std::vector<float> wanted = values("rope_freqs.weight");
    const float factor = *std::max_element(wanted.begin(), wanted.end());
    const double base = number("rope.freq_base").value_or(10000);
    for (std::uint64_t original = 16; original <= (1U << 20); original *= 2)
      for (const float high : {4.0F, 2.0F, 8.0F}) {
        const Llama3Scaling scaling{factor, 1, high, static_cast<float>(original)};
        if (!close(llama3_factors(scaling, rotated_, base), wanted)) continue;
        return {{"rope_type", "llama3"},
                {"factor", shortest(factor)},
                {"low_freq_factor", 1.0},
                {"high_freq_factor", shortest(high)},
                {"original_max_position_embeddings", original}};
      }
    unsupported("rope_freqs.weight is not what Llama 3's scaling gives with usual parameters");
  }

  static bool close(const std::vector<float>& a, const std::vector<float>& b) {
    constexpr float kRounding = 1e-5F;
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
      if (!(std::abs(a[i] - b[i]) <= kRounding * std::abs(b[i]))) return false;
    return true;
  }

  const format::Checkpoint& checkpoint_;
  const Sizes& sizes_;
  const Architecture& family_;
  Json config_;
  std::size_t rotated_ = 0;
};

}  // namespace

nlohmann::ordered_json hugging_face_config(const format::Checkpoint& checkpoint,
                                           const Model& model) {
  return ConfigWriter(checkpoint, model).write();
}

}  // namespace malina::model
