// Any text as config.json ('c' and the text) or as the index of a model's shards (any other first
// byte): refused with an error, or read into what the reader promises.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "finding.h"
#include "format/json_reader.h"
#include "format/safetensors.h"
#include "model/hugging_face_config.h"

namespace {

using namespace malina;
using fuzz::require;
using fuzz::unless_file_refused;

void read_config(const std::string& text) {
  const model::HuggingFaceConfig config(format::parse_json(text, "config.json"), "config.json");
  format::MetadataBuilder builder;
  const model::HuggingFaceSizes sizes = model::add_sizes(config, builder);
  const format::Metadata metadata = builder.build("config.json");
  model::check_scale(config, metadata, sizes);
  require(sizes.layers >= 1 && sizes.layers <= 1024 && sizes.heads >= 1 && sizes.kv_heads >= 1);
  require(sizes.head_width >= 1 && sizes.experts <= 1024);
  require(model::identify(metadata, "config.json").architecture != nullptr);
  for (const auto& factors : sizes.factors)
    for (const float value : factors.values) require(std::isfinite(value));
  for (const auto& entry : metadata.entries())
    if (const auto* number = std::get_if<double>(&entry.value)) require(std::isfinite(*number));
}

void read_index(const std::string& text) {
  for (const auto& [tensor, file] : format::parse_shard_index(text, "index.json")) {
    require(file.ends_with(".safetensors"));
    require(file.find('/') == std::string::npos && file.find('\0') == std::string::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  unless_file_refused([&] {
    if (data[0] == 'c')
      read_config(text);
    else
      read_index(text);
  });
  return 0;
}
