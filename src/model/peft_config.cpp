#include "model/peft_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "base/ascii.h"
#include "base/error.h"
#include "format/quote.h"

namespace malina::model {

namespace {

using base::Error;
using base::Fault;
using format::in_quotes;
using json = nlohmann::ordered_json;

constexpr std::size_t kLargestRank = 1 << 16;

// Read here, or of no consequence once the adapter is trained.
constexpr std::array<std::string_view, 34> kKnown{"alpha_pattern",
                                                  "auto_mapping",
                                                  "base_model_name_or_path",
                                                  "bias",
                                                  "corda_config",
                                                  "ensure_weight_tying",
                                                  "eva_config",
                                                  "exclude_modules",
                                                  "fan_in_fan_out",
                                                  "inference_mode",
                                                  "init_lora_weights",
                                                  "layers_pattern",
                                                  "layers_to_transform",
                                                  "loftq_config",
                                                  "lora_alpha",
                                                  "lora_dropout",
                                                  "lora_ga_config",
                                                  "megatron_config",
                                                  "megatron_core",
                                                  "modules_to_save",
                                                  "peft_type",
                                                  "peft_version",
                                                  "qalora_group_size",
                                                  "r",
                                                  "rank_pattern",
                                                  "revision",
                                                  "runtime_config",
                                                  "target_modules",
                                                  "task_type",
                                                  "use_rslora",
                                                  "velora_config",
                                                  "parent_library",
                                                  "base_model_class",
                                                  "ephemeral_gpu_offload"};

// Each would mean something else than adding scale * B * A to linear layers.
constexpr std::array<std::string_view, 12> kOtherArithmetic{
    "use_dora",          "use_qalora",  "alora_invocation_tokens", "target_parameters",
    "layer_replication", "lora_bias",   "trainable_token_indices", "use_bdlora",
    "arrow_config",      "kasa_config", "monteclora_config",       "target_modules_to_tie"};

// Beginnings that leave the base's weights as they are; pissa, olora, loftq and corda do not.
constexpr std::array<std::string_view, 3> kHarmlessBeginnings{"gaussian", "eva", "orthogonal"};

bool is_set(const json& document, std::string_view key) {
  const auto place = document.find(key);
  if (place == document.end() || place->is_null()) return false;
  if (place->is_boolean()) return place->get<bool>();
  return !place->empty();  // a number or a text counts as one value
}

const json* find(const json& document, const char* key) {
  const auto place = document.find(key);
  return place == document.end() || place->is_null() ? nullptr : &*place;
}

}  // namespace

PeftConfig::PeftConfig(const json& document, std::string file) : file_(std::move(file)) {
  if (!document.is_object())
    throw Error(Fault::corrupt_file, fmt::format("{}: it is not an object", file_));
  read_task(document);
  refuse_other_arithmetic(document);
  warn_of_unknown(document);
  read_sizes(document);
  read_modules(document);
  read_layers(document);
}

Error PeftConfig::wrong(std::string_view key, std::string_view cause) const {
  return Error(Fault::corrupt_file, fmt::format("{}: {} {}", file_, key, cause));
}

void PeftConfig::read_task(const json& document) {
  const json* const type = find(document, "peft_type");
  if (type == nullptr || !type->is_string()) throw wrong("peft_type", "is missing");
  if (type->get_ref<const std::string&>() != "LORA")
    throw Error(Fault::unsupported, fmt::format("{}: peft_type is {}; malina applies LORA", file_,
                                                in_quotes(type->get_ref<const std::string&>())));
  if (const json* name = find(document, "base_model_name_or_path")) {
    if (!name->is_string()) throw wrong("base_model_name_or_path", "is not a text");
    base_name_ = *name;
  }
  const json* const task = find(document, "task_type");
  if (task == nullptr) return;
  if (!task->is_string()) throw wrong("task_type", "is not a text");
  constexpr std::array kTasks{
      std::pair{"CAUSAL_LM", AdapterTask::language_model},
      std::pair{"SEQ_CLS", AdapterTask::sequence_classification},
      std::pair{"TOKEN_CLS", AdapterTask::token_classification},
  };
  for (const auto& [name, value] : kTasks)
    if (*task == name) {
      task_ = value;
      return;
    }
  throw Error(Fault::unsupported,
              fmt::format("{}: task_type {} is none of CAUSAL_LM, SEQ_CLS and TOKEN_CLS", file_,
                          in_quotes(task->get_ref<const std::string&>())));
}

void PeftConfig::refuse_other_arithmetic(const json& document) const {
  for (const std::string_view key : kOtherArithmetic)
    if (is_set(document, key))
      throw Error(Fault::unsupported,
                  fmt::format("{}: it sets {}, which malina does not compute", file_, key));
  if (const json* bias = find(document, "bias"); bias != nullptr && *bias != "none")
    throw Error(
        Fault::unsupported,
        fmt::format("{}: it sets bias to other than \"none\": biases are not adapted", file_));
  const json* const begin = find(document, "init_lora_weights");
  if (begin == nullptr || begin->is_boolean()) return;
  if (!begin->is_string()) throw wrong("init_lora_weights", "is neither a truth value nor a text");
  const auto& name = begin->get_ref<const std::string&>();
  if (std::ranges::find(kHarmlessBeginnings, name) == kHarmlessBeginnings.end())
    throw Error(Fault::unsupported,
                fmt::format("{}: init_lora_weights is {}: such a beginning changes the base's "
                            "weights, which are not in the adapter; save it with PEFT's "
                            "path_initial_model_for_weight_conversion",
                            file_, in_quotes(name)));
}

void PeftConfig::warn_of_unknown(const json& document) {
  for (const auto& [key, value] : document.items())
    if (std::ranges::find(kKnown, key) == kKnown.end() &&
        std::ranges::find(kOtherArithmetic, key) == kOtherArithmetic.end())
      warnings_.push_back(
          fmt::format("{}: key {} is not known and has no effect", file_, in_quotes(key)));
  if (is_set(document, "fan_in_fan_out"))
    warnings_.push_back(fmt::format(
        "{}: fan_in_fan_out has no effect on the linear layers of these models", file_));
}

void PeftConfig::read_sizes(const json& document) {
  const auto rank_of = [&](const json& value, std::string_view key) -> std::size_t {
    if (!value.is_number_integer() || value < 1 || value > kLargestRank)
      throw wrong(key, fmt::format("is not a whole number from 1 to {}", kLargestRank));
    return value;
  };
  const auto alpha_of = [&](const json& value, std::string_view key) -> double {
    if (!value.is_number() || !std::isfinite(value.get<double>()))
      throw wrong(key, "is not a finite number");
    return value;
  };
  if (const json* rank = find(document, "r")) rank_ = rank_of(*rank, "r");
  if (const json* alpha = find(document, "lora_alpha")) alpha_ = alpha_of(*alpha, "lora_alpha");
  if (const json* stabilised = find(document, "use_rslora")) {
    if (!stabilised->is_boolean()) throw wrong("use_rslora", "is not a truth value");
    rank_stabilised_ = *stabilised;
  }
  const auto read_pattern = [&](const char* key, auto& pattern, const auto& value_of) {
    const json* const entries = find(document, key);
    if (entries == nullptr) return;
    if (!entries->is_object()) throw wrong(key, "is not an object");
    for (const auto& [name, value] : entries->items())
      pattern.emplace_back(expression("(.*\\.)?(" + name + ")", key), value_of(value, key));
  };
  read_pattern("rank_pattern", ranks_, rank_of);
  read_pattern("alpha_pattern", alphas_, alpha_of);
}

base::RegularExpression PeftConfig::expression(const std::string& pattern, const char* key) const {
  try {
    return base::RegularExpression(pattern);
  } catch (const Error& error) {
    const Fault fault =
        error.fault() == Fault::unsupported ? Fault::unsupported : Fault::corrupt_file;
    throw Error(fault, fmt::format("{}: {}: {}", file_, key, error.what()));
  }
}

PeftConfig::Names PeftConfig::read_names(const json& document, const char* key) const {
  Names names;
  const json* const value = find(document, key);
  if (value == nullptr) return names;
  if (value->is_string()) {
    std::string text = *value;
    names.all_linear = base::ascii_lower(text) == "all-linear";
    if (!names.all_linear) names.expression = expression(text, key);
    return names;
  }
  if (!value->is_array()) throw wrong(key, "is neither a list of texts nor a text");
  for (const json& name : *value) {
    if (!name.is_string()) throw wrong(key, "holds what is not a text");
    names.names.push_back(name);
  }
  return names;
}

void PeftConfig::read_modules(const json& document) {
  targets_ = read_names(document, "target_modules");
  excluded_ = read_names(document, "exclude_modules");
  if (!targets_.all_linear && !targets_.expression && targets_.names.empty())
    throw wrong("target_modules", "is missing or empty");
  for (const std::string& name : read_names(document, "modules_to_save").names)
    if (name != "score" && name != "classifier")
      throw Error(Fault::unsupported,
                  fmt::format("{}: modules_to_save holds {}; malina takes a classification head "
                              "(\"score\") alone",
                              file_, in_quotes(name)));
}

void PeftConfig::read_layers(const json& document) {
  constexpr std::uint64_t kMostLayers = 1 << 16;
  if (const json* layers = find(document, "layers_to_transform")) {
    const json list = layers->is_array() ? *layers : json::array({*layers});
    for (const json& layer : list) {
      if (!layer.is_number_integer() || layer < 0 || layer > kMostLayers)
        throw wrong("layers_to_transform", "holds what is not the number of a layer");
      layers_.push_back(layer);
    }
  }
  layers_patterns_ = read_names(document, "layers_pattern").names;
  if (const json* one = find(document, "layers_pattern");
      one != nullptr && one->is_string() && !one->empty())
    layers_patterns_ = {one->get<std::string>()};
  std::erase(layers_patterns_, std::string());
  for (const std::string& pattern : layers_patterns_)
    static_cast<void>(expression("(?:^|.*?\\.)" + pattern, "layers_pattern"));
}

bool PeftConfig::Names::matches(std::string_view module) const {
  if (expression) return expression->matches(module);
  return std::ranges::any_of(names, [&](const std::string& name) {
    return module == name || (module.size() > name.size() && module.ends_with(name) &&
                              module[module.size() - name.size() - 1] == '.');
  });
}

// The number after "layers." (or what layers_pattern says), in lists of names alone: an expression
// chooses its layers itself.
bool PeftConfig::is_of_wanted_layer(std::string_view module) const {
  if (layers_.empty() || targets_.expression || targets_.all_linear) return true;
  const auto named = [&](std::string_view before) {
    if (layers_patterns_.empty()) return before.find('.') != std::string_view::npos;
    return std::ranges::any_of(layers_patterns_, [&](const std::string& pattern) {
      return base::RegularExpression("(?:|.*?\\.)" + pattern).matches(before);
    });
  };
  for (std::size_t dot = module.find('.'); dot != std::string_view::npos;
       dot = module.find('.', dot + 1)) {
    const std::string_view rest = module.substr(dot + 1);
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    if (digits == 0 || digits > 9 || digits == rest.size() || rest[digits] != '.') continue;
    if (!named(module.substr(0, dot))) continue;
    const std::uint64_t layer = std::stoull(std::string(rest.substr(0, digits)));
    return std::ranges::find(layers_, layer) != layers_.end();
  }
  return false;
}

bool PeftConfig::targets(std::string_view module) const {
  if (excluded_.matches(module)) return false;
  if (targets_.all_linear) return true;
  // A name that is given in full is meant, whatever its layer.
  if (std::ranges::find(targets_.names, module) != targets_.names.end()) return true;
  return targets_.matches(module) && is_of_wanted_layer(module);
}

std::size_t PeftConfig::rank(std::string_view module) const {
  for (const auto& [pattern, rank] : ranks_)
    if (pattern.matches(module)) return rank;
  return rank_;
}

double PeftConfig::alpha(std::string_view module) const {
  for (const auto& [pattern, alpha] : alphas_)
    if (pattern.matches(module)) return alpha;
  return alpha_;
}

}  // namespace malina::model
