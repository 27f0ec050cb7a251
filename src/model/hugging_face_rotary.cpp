#include "model/hugging_face_rotary.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "format/quote.h"

namespace malina::model {
namespace {

using base::Fault;
using format::in_quotes;
using nlohmann::json;

constexpr std::uint64_t kMostContext = 1ULL << 31;

// One set of rotary parameters, whichever form the file has.
class Parameters {
 public:
  Parameters(const HuggingFaceConfig& config, const json& own) : config_(config), own_(own) {}

  std::optional<double> number(const char* key) const {
    const auto value = own_.is_object() ? own_.find(key) : own_.end();
    if (!own_.is_object() || value == own_.end() || value->is_null()) return config_.number(key);
    return read_number(config_, key, *value);
  }
  double positive(const char* key) const { return read_positive(config_, key, number(key)); }

  // "default" where nothing is said.
  std::string type() const {
    if (!own_.is_object()) return "default";
    for (const char* key : {"rope_type", "type"}) {
      const auto value = own_.find(key);
      if (value == own_.end() || value->is_null()) continue;
      if (value->is_string()) return value->get<std::string>();
      throw config_.error(Fault::corrupt_file, fmt::format("{} is not a text", key));
    }
    return "default";
  }

  std::vector<float> list(const char* key, std::uint64_t count) const {
    const auto value = own_.find(key);
    if (value == own_.end() || !value->is_array() || value->size() != count)
      throw config_.error(Fault::corrupt_file,
                          fmt::format("{} is not a list of {} numbers", key, count));
    std::vector<float> numbers;
    for (const json& entry : *value)
      numbers.push_back(
          static_cast<float>(read_positive(config_, key, read_number(config_, key, entry))));
    return numbers;
  }

 private:
  const HuggingFaceConfig& config_;
  const json& own_;  // null: the keys at the top alone
};

Llama3Scaling read_llama3(const HuggingFaceConfig& config, const Parameters& parameters) {
  const Llama3Scaling scaling{
      static_cast<float>(parameters.positive("factor")),
      static_cast<float>(parameters.positive("low_freq_factor")),
      static_cast<float>(parameters.positive("high_freq_factor")),
      static_cast<float>(parameters.positive("original_max_position_embeddings"))};
  if (scaling.high <= scaling.low)
    throw config.error(Fault::corrupt_file,
                       fmt::format("high_freq_factor {} is not above low_freq_factor {}",
                                   scaling.high, scaling.low));
  return scaling;
}

void add_long_rope(const HuggingFaceConfig& config, const Parameters& parameters,
                   std::uint64_t rotated, format::MetadataBuilder& metadata,
                   HuggingFaceSizes& sizes) {
  const std::string prefix(config.architecture().gguf);
  const double original = parameters.positive("original_max_position_embeddings");
  if (original < 2 || original > kMostContext || original != std::floor(original))
    throw config.error(Fault::corrupt_file,
                       fmt::format("original_max_position_embeddings is {}", original));
  const auto context = static_cast<double>(config.size("max_position_embeddings", kMostContext));
  const double stretch = context / original;
  const double magnitude = stretch > 1 ? std::sqrt(1 + std::log(stretch) / std::log(original)) : 1;
  metadata.add_integer(prefix + ".rope.scaling.original_context_length",
                       static_cast<std::uint64_t>(original));
  metadata.add_number(prefix + ".rope.scaling.attn_factor",
                      parameters.number("attention_factor").value_or(magnitude));
  sizes.factors.push_back(
      {"rope_factors_short.weight", parameters.list("short_factor", rotated / 2)});
  sizes.factors.push_back(
      {"rope_factors_long.weight", parameters.list("long_factor", rotated / 2)});
}

void add_scaling(const HuggingFaceConfig& config, const Parameters& parameters,
                 std::uint64_t rotated, double base, format::MetadataBuilder& metadata,
                 HuggingFaceSizes& sizes) {
  const std::string type = parameters.type();
  const std::string key = fmt::format("{}.rope.scaling.", config.architecture().gguf);
  if (type == "default") return;
  if (type == "longrope" || type == "su")
    return add_long_rope(config, parameters, rotated, metadata, sizes);
  if (type == "llama3") {
    sizes.factors.push_back(
        {"rope_freqs.weight", llama3_factors(read_llama3(config, parameters), rotated, base)});
    return;
  }
  if (type != "linear" && type != "yarn" && type != "dynamic")
    throw config.error(
        Fault::unsupported,
        fmt::format("the rotary scaling is {}, which malina does not run", in_quotes(type)));
  // What is not run of these is refused where sizes are read, so that `inspect` can describe it.
  metadata.add_text(key + "type", type);
  if (const auto factor = parameters.number("factor")) metadata.add_number(key + "factor", *factor);
}

}  // namespace

std::vector<float> llama3_factors(const Llama3Scaling& scaling, std::size_t rotated, double base) {
  std::vector<float> factors;
  for (std::size_t j = 0; j < rotated / 2; ++j) {
    const float exponent = static_cast<float>(2 * j) / static_cast<float>(rotated);
    const float frequency = 1.0F / std::pow(static_cast<float>(base), exponent);
    const float length = static_cast<float>(2 * std::numbers::pi) / frequency;
    if (length < scaling.original / scaling.high) {
      factors.push_back(1);
    } else if (length > scaling.original / scaling.low) {
      factors.push_back(scaling.factor);
    } else {
      const float smooth = (scaling.original / length - scaling.low) / (scaling.high - scaling.low);
      factors.push_back(1 / ((1 - smooth) / scaling.factor + smooth));
    }
  }
  return factors;
}

double read_number(const HuggingFaceConfig& config, const char* key, const json& value) {
  if (!value.is_number())
    throw config.error(Fault::corrupt_file, fmt::format("{} is {}, not a number", key,
                                                        in_quotes(value.dump(-1, ' ', true))));
  const double number = value.get<double>();
  if (!std::isfinite(static_cast<float>(number)))
    throw config.error(Fault::corrupt_file, fmt::format("{} is {}, out of range", key, number));
  return number;
}

double read_positive(const HuggingFaceConfig& config, const char* key,
                     std::optional<double> value) {
  if (!value) throw config.error(Fault::corrupt_file, fmt::format("has no {}", key));
  if (!(static_cast<float>(*value) > 0))
    throw config.error(Fault::corrupt_file, fmt::format("{} is {}, not above 0", key, *value));
  return *value;
}

void add_rotary(const HuggingFaceConfig& config, std::uint64_t head_width,
                format::MetadataBuilder& metadata, HuggingFaceSizes& sizes) {
  const std::string prefix(config.architecture().gguf);
  const bool is_new = config.has("rope_parameters");
  const json* full = &config.raw(is_new ? "rope_parameters" : "rope_scaling");
  static const json none;
  const json* windowed = &none;
  if (!full->is_null() && !full->is_object())
    throw config.error(
        Fault::corrupt_file,
        fmt::format("{} is not an object", is_new ? "rope_parameters" : "rope_scaling"));
  if (full->is_object() && full->contains("full_attention")) {
    if (const auto own = full->find("sliding_attention"); own != full->end()) windowed = &*own;
    full = &*full->find("full_attention");
    if (!full->is_object() || !(windowed->is_object() || windowed->is_null()))
      throw config.error(Fault::corrupt_file,
                         "rope_parameters of full_attention or sliding_attention is not an object");
  }
  const Parameters parameters(config, *full);
  const double base = parameters.positive("rope_theta");
  const double share = parameters.number("partial_rotary_factor").value_or(1);
  if (!(share > 0 && share <= 1))
    throw config.error(Fault::corrupt_file,
                       fmt::format("partial_rotary_factor is {}, outside of 0 to 1", share));
  const auto rotated =
      static_cast<std::uint64_t>(share * static_cast<double>(head_width));  // as Transformers does
  metadata.add_number(prefix + ".rope.freq_base", base);
  metadata.add_integer(prefix + ".rope.dimension_count", rotated);
  if (config.architecture().attention.window_rotary_base) {
    const Parameters own(config, *windowed);
    if (own.type() != "default")
      throw config.error(Fault::unsupported,
                         "layers with a window have a rotary scaling, which "
                         "malina does not run");
    const auto local =
        windowed->is_object() ? own.number("rope_theta") : config.number("rope_local_base_freq");
    metadata.add_number(prefix + ".rope.freq_base_swa",
                        read_positive(config, "rope_local_base_freq", local));
  }
  add_scaling(config, parameters, rotated, base, metadata, sizes);
}

}  // namespace malina::model
