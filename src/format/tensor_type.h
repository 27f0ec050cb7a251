// The tensor types that GGUF numbers, so that a message can name one that malina does not compute.
#pragma once

#include <cstdint>
#include <string_view>

namespace malina::format {

// "IQ2_XXS", or empty for a number that the format does not have. Types that were taken out of the
// format are named too: old files hold them.
std::string_view tensor_type_name(std::uint32_t gguf_type);

}  // namespace malina::format
