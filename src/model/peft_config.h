// adapter_config.json of a PEFT directory. Part of model/peft.h.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/regular_expression.h"
#include "model/adapter_tensors.h"

namespace malina::model {

// What the file says, checked. Immutable.
class PeftConfig {
 public:
  // `file` is for messages. Throws corrupt_file where a value has another type than PEFT gives it
  // or is out of range, unsupported naming a key that would change the arithmetic.
  PeftConfig(const nlohmann::ordered_json& document, std::string file);

  AdapterTask task() const { return task_; }
  const std::string& base_name() const { return base_name_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

  // Whether PEFT adapts the linear module of this full name, "model.layers.0.self_attn.q_proj".
  bool targets(std::string_view module) const;
  bool targets_all_linear() const { return targets_.all_linear; }
  // What it gives such a module: r and alpha, by rank_pattern and alpha_pattern.
  std::size_t rank(std::string_view module) const;
  double alpha(std::string_view module) const;
  bool rank_stabilised() const { return rank_stabilised_; }

 private:
  // A list of names, each a whole name or its end, or one expression for whole names.
  struct Names {
    std::vector<std::string> names;
    std::optional<base::RegularExpression> expression;
    bool all_linear = false;
    bool matches(std::string_view module) const;
  };
  template <typename Value>
  using Pattern = std::vector<std::pair<base::RegularExpression, Value>>;

  void read_task(const nlohmann::ordered_json& document);
  void refuse_other_arithmetic(const nlohmann::ordered_json& document) const;
  void warn_of_unknown(const nlohmann::ordered_json& document);
  void read_sizes(const nlohmann::ordered_json& document);
  void read_modules(const nlohmann::ordered_json& document);
  void read_layers(const nlohmann::ordered_json& document);
  Names read_names(const nlohmann::ordered_json& document, const char* key) const;
  base::RegularExpression expression(const std::string& pattern, const char* key) const;
  bool is_of_wanted_layer(std::string_view module) const;
  base::Error wrong(std::string_view key, std::string_view cause) const;

  std::string file_, base_name_;
  std::vector<std::string> warnings_;
  AdapterTask task_ = AdapterTask::language_model;
  std::size_t rank_ = 8;
  double alpha_ = 8;
  bool rank_stabilised_ = false;
  Names targets_, excluded_;
  std::vector<std::uint64_t> layers_;         // layers_to_transform; empty: all
  std::vector<std::string> layers_patterns_;  // what stands before the layer's number
  Pattern<std::size_t> ranks_;
  Pattern<double> alphas_;
};

}  // namespace malina::model
