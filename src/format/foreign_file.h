// What a file is that is not GGUF: the reader is told, instead of "bad magic".
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace malina::format {

// "is a Git LFS pointer, not the model itself", from the first bytes of the file; a general
// sentence where it is nothing known. The bytes do not begin with "GGUF".
std::string_view describe_foreign_file(std::span<const std::byte> bytes);

}  // namespace malina::format
