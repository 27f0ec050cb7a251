#pragma once

#include <cstdint>
#include <string>

namespace malina::platform {

// How much of a model's weights is in one encoding.
struct EncodingShare {
  std::string encoding;
  std::uint64_t tensors = 0, parameters = 0, bytes = 0;
};

}  // namespace malina::platform
