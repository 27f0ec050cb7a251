// What a file is that is of another format: the reader is told, instead of "bad magic".
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace malina::format {

// "is a Git LFS pointer, not the model itself", from the first bytes of the file; a general
// sentence where it is nothing known, which begins "is not a". `expected`: what it should have
// been, "GGUF" or "safetensors".
std::string describe_foreign_file(std::span<const std::byte> bytes, std::string_view expected);

}  // namespace malina::format
