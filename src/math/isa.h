// The instruction sets that kernels are written for, and which one this process uses.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

namespace malina::math {

// In ascending order of preference within an architecture.
enum class Isa : unsigned {
  baseline,  // x86-64-v2 or any AArch64: plain loops
  avx2,      // AVX2, FMA, F16C
  avxvnni,   // avx2 and the 256-bit VNNI of client processors
  avx512,    // AVX-512 F, BW, DQ, VL, VNNI
  neon,      // AArch64 with the dot product extension
};
inline constexpr std::size_t kIsaCount = 5;

std::string_view name(Isa isa);
// Those that this processor runs and this build holds; ascending.
std::vector<Isa> available_isas();
// The best available one, or the one that the environment variable MALINA_ISA names. Throws
// base::Error where the variable names none, or one that this machine lacks. Read once a process.
Isa selected_isa();

}  // namespace malina::math
