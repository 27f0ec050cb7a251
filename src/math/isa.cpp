#include "math/isa.h"

#include <cstdlib>
#include <string>

#include "base/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace malina::math {
namespace {

constexpr std::array<std::string_view, kIsaCount> kNames{"baseline", "avx2", "avxvnni", "avx512",
                                                         "neon"};

#if defined(MALINA_EMULATE_AVX512)
bool runs(Isa isa) { return isa == Isa::baseline || isa == Isa::avx512; }
#elif defined(__x86_64__)
bool has_avxvnni() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) == 0) return false;
  constexpr unsigned kAvxVnni = 1U << 4;
  return (eax & kAvxVnni) != 0;
}

// __builtin_cpu_supports also asks the operating system (xgetbv) whether it saves the registers.
bool runs(Isa isa) {
  __builtin_cpu_init();
  // F16C and LZCNT came with every processor that has AVX2 and FMA; GCC 12 cannot ask for them.
  const bool avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 &&
                    __builtin_cpu_supports("bmi") != 0 && __builtin_cpu_supports("bmi2") != 0;
  switch (isa) {
    case Isa::baseline:
      return true;
    case Isa::avx2:
      return avx2;
    case Isa::avxvnni:
      return avx2 && has_avxvnni();
    case Isa::avx512:
      return avx2 && __builtin_cpu_supports("avx512f") != 0 &&
             __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
             __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
    case Isa::neon:
      return false;
  }
  return false;
}
#elif defined(__aarch64__) && defined(__linux__)
bool runs(Isa isa) {
  if (isa == Isa::neon) return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
  return isa == Isa::baseline;
}
#elif defined(__aarch64__) && defined(__APPLE__)
// Every Apple processor that runs macOS has the dot product extension.
bool runs(Isa isa) { return isa == Isa::neon || isa == Isa::baseline; }
#else
bool runs(Isa isa) { return isa == Isa::baseline; }
#endif

std::string joined_names(const std::vector<Isa>& isas) {
  std::string text;
  for (const Isa isa : isas) {
    if (!text.empty()) text += ", ";
    text += name(isa);
  }
  return text;
}

Isa select() {
  const std::vector<Isa> available = available_isas();
  const char* wanted = std::getenv("MALINA_ISA");
  if (wanted == nullptr || *wanted == '\0') return available.back();
  for (const Isa isa : available) {
    if (name(isa) == wanted) return isa;
  }
  throw base::Error(base::Fault::invalid_argument, "MALINA_ISA is \"" + std::string(wanted) +
                                                       "\", but this machine has " +
                                                       joined_names(available));
}

}  // namespace

std::string_view name(Isa isa) { return kNames[static_cast<std::size_t>(isa)]; }

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (std::size_t i = 0; i < kIsaCount; ++i) {
    if (const Isa isa = static_cast<Isa>(i); runs(isa)) isas.push_back(isa);
  }
  return isas;
}

Isa selected_isa() {
  static const Isa isa = select();
  return isa;
}

}  // namespace malina::math
