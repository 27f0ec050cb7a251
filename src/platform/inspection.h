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
  std::string format;  // "GGUF v3"

  // As the file says; empty where it does not.
  std::string title, licence;
  std::string family;         // "" for a vocabulary alone
  std::string family_reason;  // "general.architecture is llama"

  std::uint64_t parameters = 0;
  // 0 where the file does not say.
  std::uint64_t layers = 0, width = 0, heads = 0, kv_heads = 0, head_width = 0, hidden = 0;
  std::uint64_t context = 0;

  std::vector<EncodingShare> encodings;

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
  };
  std::vector<Template> templates;
};

// Throws base::Error as open_model_file does.
Inspection inspect_model(const ResolvedModel& resolved, const InspectOptions& options,
                         const ProgressSink& progress);

}  // namespace malina::platform
