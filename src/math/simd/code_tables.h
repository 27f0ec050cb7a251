// The numbers that the 4-bit codes of some encodings select.
#pragma once

#include "math/simd/product_shape.h"

namespace malina::math {

// IQ4_NL and IQ4_XS.
inline constexpr Table kIq4Table{-127, -104, -83, -65, -49, -35, -22, -10,
                                 1,    13,   25,  38,  53,  69,  89,  113};
// MXFP4: twice the numbers of the 4-bit float E2M1, plus 12.
inline constexpr Table kMxfp4Table{12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

}  // namespace malina::math
