// Adapters as llama.cpp keeps them: a GGUF file of general.type "adapter".
//
// Source: src/llama-adapter.cpp and convert_lora_to_gguf.py of llama.cpp. Rows stand as in the
// base's GGUF file, and the scale at run time is adapter.lora.alpha / rank: there is no word for
// rsLoRA, nor for a scale that is not of all.
#pragma once

#include <filesystem>

#include "base/atomic_file.h"
#include "model/adapter_tensors.h"
#include "model/model.h"

namespace malina::model {

// Whether the file's metadata says that it is an adapter.
bool is_gguf_adapter(const format::Metadata& metadata);

// The model may be a planned one. Throws base::Error: not_found, io; corrupt_file (a tensor is
// missing, has another shape than the base's, is not finite; another architecture); unsupported,
// naming what would be other arithmetic: activation by tokens (aLoRA), the embedding, the output
// layer, norms, experts.
AdapterTensors read_gguf_adapter(const std::filesystem::path& file, const Model& model);

// Values in float32. Scales that differ among matrices, and rsLoRA's, become one alpha; what that
// leaves is multiplied into B. Throws unsupported where there is a classification head, for which
// such a file has no place, and what check_fits() and GgufWriter throw.
void write_gguf_adapter(const std::filesystem::path& file, const AdapterTensors& tensors,
                        const Model& model, const std::string& name,
                        base::AtomicFile::Existing existing = base::AtomicFile::Existing::refuse);

}  // namespace malina::model
