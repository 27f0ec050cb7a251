#include "model/hugging_face_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "base/near_match.h"
#include "format/quote.h"
#include "model/hugging_face_rotary.h"

namespace malina::model {
namespace {

using base::Error;
using base::Fault;
using format::in_quotes;
using nlohmann::json;

// The bounds of model/sizes.cpp.
constexpr std::uint64_t kMostLayers = 1024;
constexpr std::uint64_t kMostWidth = 1 << 20;
constexpr std::uint64_t kMostContext = 1ULL << 31;
constexpr std::uint64_t kMostExperts = 1024;
constexpr std::uint64_t kMostTokens = 1 << 24;

// Mechanisms that no family has here: absent, null, false or 0, or the model is another one.
constexpr std::array kForeignMechanisms{"qk_layernorm", "attn_logit_softcapping",
                                        "final_logit_softcapping", "use_bidirectional_attention"};

const Architecture& find_family(const std::string& class_name, const std::string& file) {
  std::vector<std::string> known;
  for (const Architecture* architecture : architectures())
    for (const std::string_view name : architecture->hugging_face.classes) {
      if (name == class_name) return *architecture;
      known.emplace_back(name);
    }
  auto near = base::near_matches(class_name, known, 1);
  throw Error(
      Fault::unsupported,
      fmt::format("{}: model class {} is not one that malina runs; {}", file, in_quotes(class_name),
                  near.empty() ? fmt::format("those are {}", fmt::join(known, ", "))
                               : "the nearest that it runs is " + near.front()));
}

std::string class_of(const json& document, const std::string& file) {
  const auto classes = document.find("architectures");
  if (classes == document.end() || !classes->is_array() || classes->empty() ||
      !classes->front().is_string())
    throw Error(Fault::corrupt_file,
                file + ": has no \"architectures\", a list with the name of the model's class");
  return classes->front().get<std::string>();
}

void check_activation(const HuggingFaceConfig& config) {
  auto name = config.text("hidden_activation");
  if (!name) name = config.text("hidden_act");
  if (!name) return;
  const bool silu = config.architecture().feed_forward.gate == math::Gate::silu;
  const bool fits = silu ? *name == "silu" || *name == "swish"
                         : *name == "gelu_new" || *name == "gelu_pytorch_tanh";
  if (!fits)
    throw config.error(Fault::unsupported,
                       fmt::format("the activation is {}, which malina does not run in family {}",
                                   in_quotes(*name), config.architecture().name));
}

void check_mechanisms(const HuggingFaceConfig& config) {
  for (const char* key : kForeignMechanisms) {
    const json& value = config.raw(key);
    const bool off = value.is_null() || value == json(false) || value == json(0);
    if (!off)
      throw config.error(Fault::unsupported, fmt::format("{} is {}, which malina does not run", key,
                                                         in_quotes(value.dump(-1, ' ', true))));
  }
  check_activation(config);
}

void check_quantization(const HuggingFaceConfig& config, const json& document) {
  const auto place = document.find("quantization_config");
  if (place == document.end() || place->is_null()) return;
  std::string method = "a method that it does not name";
  if (place->is_object() && place->contains("quant_method") && (*place)["quant_method"].is_string())
    method = in_quotes((*place)["quant_method"].get<std::string>());
  throw config.error(Fault::unsupported,
                     fmt::format("quantization_config says that the weights are quantised by {}; "
                                 "malina reads F32, F16 and BF16: take the model as it was before, "
                                 "or a GGUF file of it",
                                 method));
}

// Which layers have a window, from layer_types: one entry a layer.
std::vector<bool> windowed_layers(const HuggingFaceConfig& config, std::uint64_t layers) {
  const json& types = config.raw("layer_types");
  if (!types.is_array() || types.size() != layers)
    throw config.error(Fault::corrupt_file,
                       fmt::format("layer_types is not a list of {} entries, one a layer", layers));
  std::vector<bool> windowed;
  for (const json& type : types) {
    const bool full = type == json("full_attention");
    if (!full && type != json("sliding_attention"))
      throw config.error(
          Fault::unsupported,
          fmt::format("layer_types holds {}, which malina does not run; full_attention and "
                      "sliding_attention are",
                      in_quotes(type.dump(-1, ' ', true))));
    windowed.push_back(!full);
  }
  return windowed;
}

// Of families whose layers differ, and of those that switch the window on, for config.json without
// layer_types.
std::vector<bool> usual_layers(const HuggingFaceConfig& config, std::uint64_t layers) {
  const std::uint32_t every = config.architecture().attention.full_every;
  std::vector<bool> windowed(layers, true);
  if (every != 0) {
    const auto pattern = config.integer("sliding_window_pattern");
    if (pattern && *pattern != every)
      throw config.error(
          Fault::unsupported,
          fmt::format("sliding_window_pattern is {}; malina runs {}", *pattern, every));
    for (std::uint64_t i = 0; i < layers; ++i) windowed[i] = (i + 1) % every != 0;
  }
  if (config.form().window_switch.empty()) return windowed;
  const std::string key(config.form().window_switch);
  const bool on = config.boolean(key.c_str()).value_or(false);
  // Layers from this one on have the window.
  const std::uint64_t first = config.integer("max_window_layers").value_or(0);
  for (std::uint64_t i = 0; i < layers; ++i) windowed[i] = on && i >= first;
  return windowed;
}

std::uint64_t window(const HuggingFaceConfig& config, std::uint64_t layers) {
  const auto width = config.optional_size("sliding_window", kMostContext);
  const auto windowed =
      config.has("layer_types") ? windowed_layers(config, layers) : usual_layers(config, layers);
  const std::uint32_t every = config.architecture().attention.full_every;
  const auto count = static_cast<std::uint64_t>(std::count(windowed.begin(), windowed.end(), true));
  bool runs = count == 0 || count == layers;
  if (every != 0) {
    runs = true;
    for (std::uint64_t i = 0; i < layers; ++i) runs &= windowed[i] == ((i + 1) % every != 0);
  }
  if (!runs)
    throw config.error(Fault::unsupported,
                       fmt::format("{} of {} layers have a sliding window, not in the order that "
                                   "family {} has here",
                                   count, layers, config.architecture().name));
  const bool said = config.has("layer_types") || every != 0;
  if (count > 0 && !width && said)
    throw config.error(Fault::corrupt_file,
                       "layers have a sliding window, but sliding_window is missing");
  return count > 0 ? width.value_or(0) : 0;
}

void add_heads(const HuggingFaceConfig& config, format::MetadataBuilder& metadata,
               HuggingFaceSizes& sizes) {
  const std::string prefix(config.architecture().gguf);
  const std::uint64_t width = config.size("hidden_size", kMostWidth);
  sizes.heads = config.size("num_attention_heads", kMostWidth);
  sizes.kv_heads = config.optional_size("num_key_value_heads", kMostWidth).value_or(sizes.heads);
  const auto own_width = config.optional_size("head_dim", kMostWidth);
  if (!own_width && width % sizes.heads != 0)
    throw config.error(Fault::corrupt_file,
                       fmt::format("hidden_size {} is not a multiple of num_attention_heads {}",
                                   width, sizes.heads));
  sizes.head_width = own_width.value_or(width / sizes.heads);
  metadata.add_integer(prefix + ".attention.head_count", sizes.heads);
  metadata.add_integer(prefix + ".attention.head_count_kv", sizes.kv_heads);
  if (sizes.head_width * sizes.heads == width) return;
  metadata.add_integer(prefix + ".attention.key_length", sizes.head_width);
  metadata.add_integer(prefix + ".attention.value_length", sizes.head_width);
}

void add_experts(const HuggingFaceConfig& config, format::MetadataBuilder& metadata,
                 HuggingFaceSizes& sizes) {
  const auto experts = config.optional_size("num_local_experts", kMostExperts);
  if (!experts) return;
  const std::string prefix(config.architecture().gguf);
  sizes.experts = *experts;
  metadata.add_integer(prefix + ".expert_count", *experts);
  metadata.add_integer(prefix + ".expert_used_count", config.size("num_experts_per_tok", *experts));
}

}  // namespace

HuggingFaceConfig::HuggingFaceConfig(json document, std::string file)
    : document_(std::move(document)), file_(std::move(file)) {
  if (!document_.is_object()) throw Error(Fault::corrupt_file, file_ + ": is not a JSON object");
  architecture_ = &find_family(class_of(document_, file_), file_);
  sizes_ = &document_;
  if (const auto nested = document_.find(std::string(form().nested));
      !form().nested.empty() && nested != document_.end()) {
    if (!nested->is_object())
      throw error(Fault::corrupt_file, fmt::format("{} is not an object", form().nested));
    sizes_ = &*nested;
  }
  check_quantization(*this, document_);
  if (sizes_ != &document_) check_quantization(*this, *sizes_);
}

Error HuggingFaceConfig::error(Fault fault, const std::string& cause) const {
  return Error(fault, file_ + ": " + cause);
}

const json* HuggingFaceConfig::find(const char* key) const {
  const auto place = sizes_->find(key);
  return place == sizes_->end() ? nullptr : &*place;
}

const json& HuggingFaceConfig::raw(const char* key) const {
  static const json none;
  const json* const value = find(key);
  return value == nullptr ? none : *value;
}

std::optional<double> HuggingFaceConfig::default_of(std::string_view key) const {
  for (const ConfigDefault& entry : form().defaults)
    if (entry.key == key) return entry.value;
  return std::nullopt;
}

bool HuggingFaceConfig::has(const char* key) const { return !raw(key).is_null(); }

std::optional<std::uint64_t> HuggingFaceConfig::integer(const char* key) const {
  const json* const value = find(key);
  if (value == nullptr) {
    const auto other = default_of(key);
    return other ? std::optional(static_cast<std::uint64_t>(*other)) : std::nullopt;
  }
  if (value->is_null()) return std::nullopt;
  if (value->is_number_unsigned()) return value->get<std::uint64_t>();
  throw error(Fault::corrupt_file, fmt::format("{} is {}, not an integer from 0", key,
                                               in_quotes(value->dump(-1, ' ', true))));
}

std::optional<double> HuggingFaceConfig::number(const char* key) const {
  const json* const value = find(key);
  if (value == nullptr) return default_of(key);
  if (value->is_null()) return std::nullopt;
  return read_number(*this, key, *value);
}

std::optional<bool> HuggingFaceConfig::boolean(const char* key) const {
  const json* const value = find(key);
  if (value == nullptr) {
    const auto other = default_of(key);
    return other ? std::optional(*other != 0) : std::nullopt;
  }
  if (value->is_null()) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  throw error(Fault::corrupt_file, fmt::format("{} is {}, not true or false", key,
                                               in_quotes(value->dump(-1, ' ', true))));
}

std::optional<std::string> HuggingFaceConfig::text(const char* key) const {
  const json* const value = find(key);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  throw error(Fault::corrupt_file,
              fmt::format("{} is {}, not a text", key, in_quotes(value->dump(-1, ' ', true))));
}

std::optional<std::uint64_t> HuggingFaceConfig::optional_size(const char* key,
                                                              std::uint64_t most) const {
  const auto value = integer(key);
  if (value && (*value == 0 || *value > most))
    throw error(Fault::corrupt_file,
                fmt::format("{} is {}, outside of 1 to {}", key, *value, most));
  return value;
}

std::uint64_t HuggingFaceConfig::size(const char* key, std::uint64_t most) const {
  const auto value = optional_size(key, most);
  if (!value) throw error(Fault::corrupt_file, fmt::format("has no {}", key));
  return *value;
}

void check_scale(const HuggingFaceConfig& config, const format::Metadata& metadata,
                 const HuggingFaceSizes& sizes) {
  const auto scalar = config.number("query_pre_attn_scalar");
  if (!scalar) return;
  std::optional<float> scale;
  if (config.architecture().attention.scale != nullptr)
    scale = config.architecture().attention.scale(metadata);
  const double own = scale.value_or(1 / std::sqrt(static_cast<double>(sizes.head_width)));
  const double said = 1 / std::sqrt(*scalar);
  constexpr double kRounding = 1e-5;
  if (!(std::abs(said - own) <= kRounding * own))
    throw config.error(Fault::unsupported,
                       fmt::format("query_pre_attn_scalar is {}, but malina runs family {} of this "
                                   "size with {:.6g}",
                                   *scalar, config.architecture().name, 1 / (own * own)));
}

HuggingFaceSizes add_sizes(const HuggingFaceConfig& config, format::MetadataBuilder& metadata) {
  check_mechanisms(config);
  const Architecture& family = config.architecture();
  const auto key = [&](std::string_view name) { return fmt::format("{}.{}", family.gguf, name); };
  HuggingFaceSizes sizes;
  sizes.layers = config.size("num_hidden_layers", kMostLayers);
  sizes.vocabulary = config.size("vocab_size", kMostTokens);
  sizes.tied = config.boolean("tie_word_embeddings").value_or(false);
  metadata.add_text("general.architecture", std::string(family.gguf));
  metadata.add_integer(key("context_length"), config.size("max_position_embeddings", kMostContext));
  metadata.add_integer(key("embedding_length"), config.size("hidden_size", kMostWidth));
  metadata.add_integer(key("block_count"), sizes.layers);
  metadata.add_integer(key("feed_forward_length"), config.size("intermediate_size", kMostWidth));
  metadata.add_integer(key("vocab_size"), sizes.vocabulary);
  const bool rms = family.norm == Architecture::Norm::rms;
  const char* const epsilon = rms ? "rms_norm_eps" : "layer_norm_eps";
  metadata.add_number(
      key(rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon"),
      read_positive(config, epsilon, config.number(epsilon)));
  add_heads(config, metadata, sizes);
  // Written where it is none too: no window may be inferred from the shape.
  metadata.add_integer(key("attention.sliding_window"), window(config, sizes.layers));
  if (const auto parallel = config.boolean("use_parallel_residual"))
    metadata.add_boolean(key("use_parallel_residual"), *parallel);
  add_experts(config, metadata, sizes);
  add_rotary(config, sizes.head_width, metadata, sizes);
  return sizes;
}

}  // namespace malina::model
