#include "math/pack_floats.h"

#include <array>
#include <vector>

namespace malina::math {

void pack_floats(const float* values, const Slice& target) {
  const Encoding& encoding = *target.encoding;
  if (target.buffer->host() == nullptr) return;
  std::byte* packed = target.buffer->host() + target.offset;
  const std::size_t row_bytes = encoding.row_bytes(target.columns);
  std::vector<std::byte> encoded(kGroupRows * row_bytes);
  for (std::size_t row = 0; row < target.rows; row += kGroupRows) {
    std::array<const std::byte*, kGroupRows> group{};
    for (std::size_t i = 0; i < kGroupRows && row + i < target.rows; ++i) {
      std::byte* const own = encoded.data() + i * row_bytes;
      encoding.encode(values + (row + i) * target.columns, target.columns, nullptr, own);
      group[i] = own;
    }
    encoding.pack(group, target.columns, packed);
    packed += encoding.group_bytes(target.columns);
  }
}

}  // namespace malina::math
