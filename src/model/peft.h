// Adapters as PEFT of Hugging Face keeps them: a directory of adapter_config.json and
// adapter_model.safetensors. Names and rows are those of the base's Hugging Face directory,
// whatever file the base itself comes from; fused matrices (Phi-3) are put together and taken
// apart.
//
// Source: peft/tuners/lora, peft/tuners/tuners_utils.py (which modules are targets) and
// peft/utils/save_and_load.py (names of tensors), version 0.21.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model/adapter_tensors.h"
#include "model/model.h"

namespace malina::model {

struct PeftAdapter {
  AdapterTensors tensors;
  std::string base_name;              // base_model_name_or_path; may be empty
  std::vector<std::string> warnings;  // sentences: keys that are not known
};

// Whether the path is a directory that holds adapter_config.json, or that file itself.
bool is_peft(const std::filesystem::path& path);
// The directory itself, or where the path is adapter_config.json the one that holds it.
std::filesystem::path peft_directory(const std::filesystem::path& path);

// The model may be a planned one: shapes are compared, weights are not read. Throws base::Error:
// not_found (a file is missing), corrupt_file (a file that breaks its format, or contradicts itself
// or the model: the tensor and the cause are named), unsupported (naming the key or the tensor that
// would mean other arithmetic than a low-rank addition to the linear layers of blocks and a head).
PeftAdapter read_peft(const std::filesystem::path& directory, const Model& model);

struct PeftFiles {
  std::string base_name = {};   // base_model_name_or_path
  std::string model_card = {};  // README.md; none where it is empty
  double dropout = 0;  // lora_dropout: what it was trained with; of no consequence afterwards
  struct Extra {
    std::string name, content;  // a plain file name
  };
  std::vector<Extra> extra = {};  // beside them, as they are
};

// Writes a directory that does not exist yet; it appears complete and on the disk, or not at all.
// Values are float32. Throws already_exists, io, and what check_fits() throws.
void write_peft(const std::filesystem::path& directory, const AdapterTensors& tensors,
                const Model& model, const PeftFiles& files);

}  // namespace malina::model
