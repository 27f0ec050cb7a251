// What `malina inspect` tells of a model before anything of it is loaded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "platform/encoding_share.h"
#include "platform/model_store.h"
#include "platform/progress.h"

namespace malina::platform {

struct InspectOptions {
  std::optional<std::uint64_t> context;  // positions to plan memory for; otherwise the model's own
  std::string kv_type = "f16";           // of keys and values: f32, f16 or q8_0
  bool digest = true;  // of a file that is not in the store: reads every byte of it
};

struct NamedToken {
  std::int32_t id;
  std::string piece;  // bytes, not always UTF-8
};

struct Inspection {
  std::string model;                // the name or path that was asked for
  std::optional<std::string> name;  // in the store
  std::vector<std::filesystem::path> files;
  std::uint64_t size_bytes = 0;
  std::optional<std::string> digest;
  std::string format;  // "GGUF v3", "safetensors"

  // As the file says; empty where it does not.
  std::string title, licence;
  std::string architecture;   // general.architecture; "" for a vocabulary alone
  std::string family;         // this program's; "" where it has none for the file
  std::string family_reason;  // "general.architecture is llama"; or why it cannot be run

  std::uint64_t parameters = 0;
  // Of a supported family, as they will be computed with.
  struct Sizes {
    std::uint64_t layers, width, heads, kv_heads, head_width, hidden, vocabulary, context;
    std::optional<std::uint64_t> window;  // positions that a token sees
    std::uint64_t window_layers;          // in so many of the layers
    std::string window_source;            // "the file", "inferred ..."
    std::string rotary_scaling;           // "none", "llama3"
    bool tied;                            // the output matrix is the embedding
  };
  std::optional<Sizes> sizes;

  // What it takes to run it, planned without reading a weight.
  struct Memory {
    std::uint64_t context;
    std::string kv_type;
    std::uint64_t weight_bytes, cache_bytes, activation_bytes, total_bytes;
    std::uint64_t available_bytes;  // that this process can take now
  };
  std::optional<Memory> memory;

  std::vector<EncodingShare> encodings;
  std::vector<std::string> warnings;  // what the files say that is not what is run

  struct {
    std::string model, pre_tokenizer;
    std::uint64_t vocabulary = 0;
    std::optional<NamedToken> bos, eos;
    std::vector<NamedToken> end_tokens;
    bool adds_bos = false, adds_eos = false, adds_space_prefix = false;
    std::vector<std::string> warnings;
  } tokenizer;

  struct Template {
    std::string name;  // "" is the default
    std::uint64_t bytes;
    std::string refused;  // why this program cannot render it; empty where it can
    std::string source;
  };
  std::vector<Template> templates;
};

// Throws base::Error as open_model_file does. A model that cannot be run is described all the same.
Inspection inspect_model(const ResolvedModel& resolved, const InspectOptions& options,
                         const ProgressSink& progress);

}  // namespace malina::platform
