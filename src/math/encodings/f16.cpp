// F16: IEEE half precision.
#define MALINA_KERNELS "math/encodings/f16.cpp"

#include "math/simd/foreach_isa.h"
#include "math/simd/product_of_halves.h"

MALINA_ISA_BEGIN

constexpr Products products = kHalfProducts<load_float16>;

MALINA_ISA_END

#if MALINA_ONCE

#include "base/float16.h"
#include "math/encodings/float_format.h"

namespace malina::math {

extern const Encoding f16{
    .name = "f16",
    .gguf_type = 1,
    .block_values = 1,
    .block_bytes = 2,
    .decode = decode_numbers<std::uint16_t, base::float16_to_float>,
    .read_block = nullptr,
    .encode = encode_numbers<std::uint16_t, base::float_to_float16>,
    .pack = pack_numbers<std::uint16_t>,
    .products = MALINA_ISA_TABLE(products),
};

}  // namespace malina::math

#endif  // MALINA_ONCE
