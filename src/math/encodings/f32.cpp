// F32: IEEE single precision.
#define MALINA_KERNELS "math/encodings/f32.cpp"

#include "math/simd/foreach_isa.h"
#include "math/simd/product_of_floats.h"

MALINA_ISA_BEGIN

constexpr Products products = kFloatProducts<Float32Decoder>;

MALINA_ISA_END

#if MALINA_ONCE

#include "math/encodings/float_format.h"

namespace malina::math {
namespace {
float itself(float number) { return number; }
}  // namespace

extern const Encoding f32{
    .name = "f32",
    .gguf_type = 0,
    .block_values = 1,
    .block_bytes = 4,
    .decode = decode_numbers<float, itself>,
    .read_block = nullptr,
    .encode = encode_numbers<float, itself>,
    .pack = pack_numbers<float>,
    .products = MALINA_ISA_TABLE(products),
};

}  // namespace malina::math

#endif  // MALINA_ONCE
