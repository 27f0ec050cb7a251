// Which tensor of a model stands in which encoding after `malina quantize --to NAME`: one table, in
// the source file.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "format/checkpoint.h"
#include "math/encoding.h"

namespace malina::model {

// What --to takes. Every matrix is stored in `encoding`, but the output matrix (or the embedding
// that serves as one) in `output`, values and down matrices in `sensitive`, and what a few values
// would spoil in float32.
struct QuantizationMix {
  std::string_view encoding;
  std::string_view output;
  std::string_view sensitive;
  std::uint32_t file_type;  // metadata key general.file_type, numbered as llama.cpp numbers it
};

std::span<const QuantizationMix> quantization_mixes();
// Null where there is none of this name.
const QuantizationMix* find_quantization_mix(std::string_view name);

struct EncodingChoice {
  const math::Encoding* encoding;
  std::string reason;  // why it is not the mix's own encoding; empty where it is
};

// `tied`: the model has no output matrix of its own.
EncodingChoice choose_encoding(const QuantizationMix& mix, const format::TensorInfo& tensor,
                               bool tied);

}  // namespace malina::model
