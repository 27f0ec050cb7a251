// An adapter on disk, a PEFT directory or a GGUF file, read against its base.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/adapter_tensors.h"
#include "model/model.h"

namespace malina::platform {

struct AdapterFile {
  model::AdapterTensors tensors;
  bool peft = false;                  // else GGUF
  std::string base_name = {};         // as the file calls its base; may be empty
  std::vector<std::string> warnings;  // sentences
};

// Whether the path is a PEFT directory (or its adapter_config.json), or a GGUF file that says that
// it is an adapter. False too for what cannot be read.
bool is_adapter(const std::filesystem::path& path);

// What to say of an adapter where a model was asked for.
base::Error adapter_is_no_model(const std::filesystem::path& path);

// The model may be a planned one. Throws what read_peft() and read_gguf_adapter() throw.
AdapterFile read_adapter(const std::filesystem::path& path, const model::Model& model);

// The files of an adapter that are kept with it: of a PEFT directory its two, then all other
// regular files in it by name, but for hidden ones and Python pickles (.bin, .pt, .pth), which are
// states of a training.
std::vector<std::filesystem::path> adapter_files(const std::filesystem::path& path);

}  // namespace malina::platform
