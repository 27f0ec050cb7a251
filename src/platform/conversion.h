// A model from a Hugging Face directory into a GGUF file, and back.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "platform/encoding_share.h"
#include "platform/model_store.h"
#include "platform/progress.h"

namespace malina::platform {

struct ConvertRequest {
  // A GGUF file where the model is a directory; a directory, not there yet, where it is a GGUF
  // file.
  std::filesystem::path output;
  // Of a directory's tensors: "f32", "f16" or "bf16"; empty: what they are, and float32 for those
  // of block encodings.
  std::string type;
  std::uint64_t shard_bytes = 5'000'000'000;  // a safetensors file holds no more, if it can
  unsigned threads = 0;                       // 0: the cores that this process may use
  bool replace = false;                       // a GGUF file that stands at `output`
};

struct ConvertReport {
  std::string model;  // the name or path that was asked for
  std::filesystem::path output;
  std::string format;  // of the output: "GGUF" or "safetensors"
  std::uint64_t source_bytes = 0, output_bytes = 0, parameters = 0;
  std::size_t tensors = 0;
  std::vector<std::string> files;    // of a directory, their names
  std::vector<EncodingShare> from;   // by bytes, most first
  std::vector<std::string> decoded;  // block encodings that were decoded
  double error = 0;  // root mean square of the difference, relative to that of the values
  bool exact() const { return error == 0; }
};

// The output appears complete or not at all. Throws base::Error: invalid_argument (the output is of
// the model's own form), already_exists, what Model::plan throws of a model that does not run,
// corrupt_file and unsupported of values and of what the other form has no words for, io.
ConvertReport convert_model(const ResolvedModel& source, const ConvertRequest& request,
                            const ProgressSink& progress);

}  // namespace malina::platform
