// Rows of floats as a packed matrix.
#pragma once

#include "math/device.h"

namespace malina::math {

// Encodes rows of floats and packs them where `target` says. values: [rows, columns]; the encoding
// has a writer. Does nothing on a planning device.
void pack_floats(const float* values, const Slice& target);

}  // namespace malina::math
