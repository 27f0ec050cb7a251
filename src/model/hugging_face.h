// A Hugging Face directory (config.json and safetensors) as the GGUF file that llama.cpp's
// converter writes of it: the same metadata keys, and the same tensors under the same names, in the
// same order of rows and with the same norms. Nothing is written; what differs is made when it is
// read. What is above this layer does not know the difference.
//
// Source of the mapping: convert_hf_to_gguf.py of llama.cpp; the families' own part of it stands
// with each family (Architecture::hugging_face).
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "format/checkpoint.h"
#include "format/metadata_builder.h"

namespace malina::model {

// The directory itself, or where the path is config.json the one that holds it.
std::filesystem::path hugging_face_directory(const std::filesystem::path& path);

// Whether the path is a directory that holds config.json, or that file itself.
bool is_hugging_face(const std::filesystem::path& path);

// `add_more` is called with the metadata that config.json gives, to add the tokenizer's. Throws
// what it throws, and base::Error: not_found (no weights; a shard is missing), corrupt_file,
// unsupported (the model's class, naming the nearest known one; a mechanism; quantised weights;
// weights as a Python pickle alone), io. files() begins with config.json, then the weights and
// their index, then those of a tokenizer that are there.
std::shared_ptr<const format::Checkpoint> open_hugging_face(
    const std::filesystem::path& path,
    const std::function<void(format::MetadataBuilder&)>& add_more = {});

}  // namespace malina::model
