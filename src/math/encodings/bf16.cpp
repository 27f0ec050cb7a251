// BF16: the upper half of IEEE single precision.
#define MALINA_KERNELS "math/encodings/bf16.cpp"

#include "math/simd/foreach_isa.h"
#include "math/simd/product_of_halves.h"

MALINA_ISA_BEGIN

constexpr Products products = kHalfProducts<load_bfloat16>;

MALINA_ISA_END

#if MALINA_ONCE

#include "base/float16.h"
#include "math/encodings/float_format.h"

namespace malina::math {

extern const Encoding bf16{
    .name = "bf16",
    .gguf_type = 30,
    .block_values = 1,
    .block_bytes = 2,
    .decode = decode_numbers<std::uint16_t, base::bfloat16_to_float>,
    .read_block = nullptr,
    .encode = encode_numbers<std::uint16_t, base::float_to_bfloat16>,
    .pack = pack_numbers<std::uint16_t>,
    .products = MALINA_ISA_TABLE(products),
};

}  // namespace malina::math

#endif  // MALINA_ONCE
