// What this machine can do at most, measured: to hold kernels against.
#pragma once

#include "base/thread_pool.h"
#include "math/isa.h"

namespace malina::math {

// Bytes read a second from a block of `bytes` in huge pages, all threads together: the best of a
// few.
double measure_read_bandwidth(base::ThreadPool& pool, Isa isa, std::size_t bytes = 256 << 20);
// float32 fused multiply-adds a second from registers, all threads together.
double measure_float_rate(base::ThreadPool& pool, Isa isa);
// 8-bit integer multiply-adds a second from registers, as the products use them.
double measure_integer_rate(base::ThreadPool& pool, Isa isa);

}  // namespace malina::math
