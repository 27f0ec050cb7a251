// What `malina info` tells: the program, and the machine as the program sees it.
#pragma once

#include <string>
#include <vector>

#include "base/machine.h"

namespace malina::platform {

struct MachineReport {
  std::string version;
  std::string compiler, build_type;           // "GCC 12.2.0", "optimised"
  std::string architecture;                   // "x86_64"
  std::vector<std::string> instruction_sets;  // that this machine runs and this build holds
  std::string selected_instruction_set;       // that the kernels use; MALINA_ISA overrides it
  base::Machine machine;
};

// Throws base::Error(invalid_argument) where MALINA_ISA names no instruction set of this machine.
MachineReport report_machine();

}  // namespace malina::platform
