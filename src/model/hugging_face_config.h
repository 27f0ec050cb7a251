// config.json of a Hugging Face directory as GGUF metadata. Part of model/hugging_face.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "format/metadata_builder.h"
#include "model/architecture.h"

namespace malina::model {

// The values of config.json under their keys, with the family's defaults. Absent and null differ: a
// key that is null has no value, and no default. Every read throws corrupt_file, naming file and
// key, where the value has another type.
class HuggingFaceConfig {
 public:
  // Throws corrupt_file, and unsupported naming the class where no family has it.
  HuggingFaceConfig(nlohmann::json document, std::string file);
  HuggingFaceConfig(const HuggingFaceConfig&) = delete;
  HuggingFaceConfig& operator=(const HuggingFaceConfig&) = delete;

  const Architecture& architecture() const { return *architecture_; }
  const HuggingFaceForm& form() const { return architecture_->hugging_face; }
  const std::string& file() const { return file_; }

  bool has(const char* key) const;  // and it is not null
  std::optional<std::uint64_t> integer(const char* key) const;
  std::optional<double> number(const char* key) const;
  std::optional<bool> boolean(const char* key) const;
  std::optional<std::string> text(const char* key) const;
  // From 1 to `most`; the second throws where there is none.
  std::optional<std::uint64_t> optional_size(const char* key, std::uint64_t most) const;
  std::uint64_t size(const char* key, std::uint64_t most) const;

  // An object, array or null of the file itself, without default.
  const nlohmann::json& raw(const char* key) const;

  base::Error error(base::Fault fault, const std::string& cause) const;

 private:
  const nlohmann::json* find(const char* key) const;
  std::optional<double> default_of(std::string_view key) const;

  nlohmann::json document_;
  std::string file_;
  const Architecture* architecture_;
  const nlohmann::json* sizes_;  // document_ or an object in it
};

// What the file says beside metadata: tensors that are computed from it, and sizes that rules need.
struct HuggingFaceSizes {
  std::uint64_t layers = 0, heads = 0, kv_heads = 0, head_width = 0, experts = 0, vocabulary = 0;
  bool tied = false;  // as the file says, or its class by default
  struct Factors {
    std::string name;  // "rope_freqs.weight"
    std::vector<float> values;
  };
  std::vector<Factors> factors;
};

// Adds general.architecture and all keys of the family. Throws corrupt_file, and unsupported where
// the file asks for a mechanism that the family does not have here.
HuggingFaceSizes add_sizes(const HuggingFaceConfig& config, format::MetadataBuilder& metadata);

// What scores are multiplied by is no key of GGUF: what the family does must be what the file says.
// Throws unsupported where it is not.
void check_scale(const HuggingFaceConfig& config, const format::Metadata& metadata,
                 const HuggingFaceSizes& sizes);

}  // namespace malina::model
