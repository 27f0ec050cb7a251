#include "math/encoding.h"

namespace malina::math {

const Encoding* find_encoding(std::string_view name) {
  for (const Encoding* encoding : encodings()) {
    if (encoding->name == name) return encoding;
  }
  return nullptr;
}

const Encoding* find_encoding(std::uint32_t gguf_type) {
  for (const Encoding* encoding : encodings()) {
    if (encoding->gguf_type == gguf_type) return encoding;
  }
  return nullptr;
}

}  // namespace malina::math
