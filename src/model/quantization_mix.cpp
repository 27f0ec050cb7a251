#include "model/quantization_mix.h"

#include <fmt/format.h>

#include <algorithm>

namespace malina::model {

namespace {

// General.file_type: enum llama_ftype of llama.cpp. Its K-quants come in sizes; a mix here is
// plain, as those called small, whose numbers it therefore bears. In 2 bits alone most models say
// nothing sensible, there as here: the matrices that feel it most get a third bit.
constexpr QuantizationMix kMixes[] = {
    // encoding, output matrix, values and down matrices, general.file_type
    {"q2_k", "q6_k", "q3_k", 10}, {"q3_k", "q6_k", "q3_k", 11}, {"q4_0", "q6_k", "q4_0", 2},
    {"q4_1", "q6_k", "q4_1", 3},  {"q4_k", "q6_k", "q4_k", 14}, {"q5_0", "q6_k", "q5_0", 8},
    {"q5_1", "q6_k", "q5_1", 9},  {"q5_k", "q6_k", "q5_k", 16}, {"q6_k", "q6_k", "q6_k", 18},
    {"q8_0", "q8_0", "q8_0", 7},  {"f16", "f16", "f16", 1},     {"bf16", "bf16", "bf16", 32},
};

// What is stored instead where a row is not a whole number of blocks.
struct Substitute {
  std::string_view encoding, instead;
};
constexpr Substitute kSubstitutes[] = {
    {"q2_k", "q4_0"}, {"q3_k", "q4_0"}, {"q4_k", "q5_0"}, {"q5_k", "q5_1"}, {"q6_k", "q8_0"},
    {"q4_0", "f16"},  {"q4_1", "f16"},  {"q5_0", "f16"},  {"q5_1", "f16"},  {"q8_0", "f16"},
};

std::string_view substitute(std::string_view encoding) {
  const auto* found = std::ranges::find(kSubstitutes, encoding, &Substitute::encoding);
  return found == std::end(kSubstitutes) ? "f32" : found->instead;
}

bool fits(const math::Encoding& encoding, std::uint64_t columns) {
  return columns % encoding.block_values == 0;
}

// Few values that decide much: which expert computes a token.
bool is_router(std::string_view name) { return name.ends_with("ffn_gate_inp.weight"); }

// Values and down matrices, also those of experts.
bool is_sensitive(std::string_view name) {
  return name.ends_with(".attn_v.weight") || name.find(".ffn_down") != name.npos;
}

bool is_matrix(const format::TensorInfo& tensor) {
  return tensor.shape.size() >= 2 && tensor.name.ends_with(".weight") &&
         !tensor.name.ends_with("_norm.weight");
}

}  // namespace

std::span<const QuantizationMix> quantization_mixes() { return kMixes; }

const QuantizationMix* find_quantization_mix(std::string_view name) {
  const auto* found = std::ranges::find(kMixes, name, &QuantizationMix::encoding);
  return found == std::end(kMixes) ? nullptr : found;
}

EncodingChoice choose_encoding(const QuantizationMix& mix, const format::TensorInfo& tensor,
                               bool tied) {
  if (!is_matrix(tensor)) return {math::find_encoding("f32"), "not a matrix"};
  if (is_router(tensor.name)) return {math::find_encoding("f32"), "chooses experts"};
  const bool output =
      tensor.name == "output.weight" || (tied && tensor.name == "token_embd.weight");
  const bool sensitive = !output && is_sensitive(tensor.name);
  const std::string_view wanted = output ? mix.output : sensitive ? mix.sensitive : mix.encoding;
  const math::Encoding* encoding = math::find_encoding(wanted);
  std::string reason = wanted == mix.encoding ? "" : output ? "output matrix" : "sensitive matrix";
  while (!fits(*encoding, tensor.columns())) {
    reason += fmt::format("{}rows of {} are not blocks of {}", reason.empty() ? "" : ", ",
                          tensor.columns(), encoding->block_values);
    encoding = math::find_encoding(substitute(encoding->name));
  }
  return {encoding, reason};
}

}  // namespace malina::model
