// What the commands that write a model share.
#pragma once

#include <cstdint>
#include <filesystem>

#include "math/encoding.h"
#include "model/model.h"
#include "platform/conversion.h"
#include "platform/model_file.h"

namespace malina::platform {

// Writes a model whose checkpoint may make its tensors when they are read: as a Hugging Face
// directory, or as a GGUF file whose tensors have the encodings that they have here. `model` is of
// the checkpoint. Throws as convert_model().
ConvertReport write_model(const ModelFile& source, const model::Model& model,
                          const ConvertRequest& request, bool directory,
                          const ProgressSink& progress);

// Asks the disk before the work, which may take an hour. Throws io where `bytes` do not fit beside
// what stands there; says nothing where the disk does not say.
void check_space(const std::filesystem::path& output, std::uint64_t bytes);

// Whether weights in this encoding had lost something before: encodings of blocks.
inline bool is_lossy(const math::Encoding& encoding) { return encoding.block_values > 1; }

}  // namespace malina::platform
