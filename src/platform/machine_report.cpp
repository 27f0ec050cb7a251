#include "platform/machine_report.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include "math/isa.h"

namespace malina::platform {

namespace {

std::string compiler() {
#if defined(__clang__)
  return fmt::format("Clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("GCC {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

}  // namespace

MachineReport report_machine() {
  MachineReport report;
  report.version = MALINA_VERSION;
  report.compiler = compiler();
#if defined(__OPTIMIZE__)
  report.build_type = "optimised";
#else
  report.build_type = "not optimised";
#endif
  struct utsname system{};
  if (uname(&system) == 0) report.architecture = system.machine;
  for (const math::Isa isa : math::available_isas())
    report.instruction_sets.emplace_back(math::name(isa));
  report.selected_instruction_set = math::name(math::selected_isa());
  report.machine = base::read_machine();
  return report;
}

}  // namespace malina::platform
