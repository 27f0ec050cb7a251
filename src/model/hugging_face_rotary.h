// The rotary embedding of config.json, in its old and its new form. Part of
// model/hugging_face_config.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "model/hugging_face_config.h"

namespace malina::model {

// Llama 3's scaling: what it divides rotary frequencies by, in float32 as convert_hf_to_gguf.py
// computes it. `rotated` values of a head turn, by frequencies of this base.
struct Llama3Scaling {
  float factor, low, high, original;  // original: positions that it was made for
};
std::vector<float> llama3_factors(const Llama3Scaling& scaling, std::size_t rotated, double base);

// `value` as a finite number; throws corrupt_file naming `key`.
double read_number(const HuggingFaceConfig& config, const char* key, const nlohmann::json& value);
// A number above 0; throws corrupt_file where there is none.
double read_positive(const HuggingFaceConfig& config, const char* key, std::optional<double> value);

// Adds the keys under rope.*, and to sizes.factors the tensors that carry a scaling: of `llama3`
// and `longrope`. Reads `rope_parameters` (Transformers 5), of which families with two kinds of
// layers have two, or `rope_theta`, `rope_scaling`, `rope_local_base_freq` and
// `partial_rotary_factor`.
void add_rotary(const HuggingFaceConfig& config, std::uint64_t head_width,
                format::MetadataBuilder& metadata, HuggingFaceSizes& sizes);

}  // namespace malina::model
