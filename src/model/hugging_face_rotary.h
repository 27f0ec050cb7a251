// The rotary embedding of config.json, in its old and its new form. Part of
// model/hugging_face_config.h.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

#include "model/hugging_face_config.h"

namespace malina::model {

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
