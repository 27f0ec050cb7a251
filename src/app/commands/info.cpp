// malina info: the program, and the machine as it sees it.
#include "app/command.h"

namespace malina::app {

namespace {

struct Options {
  bool json = false;
};

Json report_json(const platform::MachineReport& report) {
  const auto& machine = report.machine;
  const auto optional = [](const auto& value) { return value ? Json(*value) : Json(); };
  return {{"version", report.version},
          {"build",
           {{"compiler", report.compiler},
            {"optimised", report.build_type == "optimised"},
            {"architecture", report.architecture}}},
          {"instruction_sets",
           {{"available", report.instruction_sets}, {"selected", report.selected_instruction_set}}},
          {"processor",
           {{"name", machine.processor},
            {"hardware_threads", machine.processors},
            {"usable_threads", machine.usable_threads},
            {"group_limit", optional(machine.group_processors)}}},
          {"memory",
           {{"total_bytes", machine.memory_bytes},
            {"available_bytes", machine.available_bytes},
            {"group_limit_bytes", optional(machine.group_limit_bytes)},
            {"group_used_bytes", optional(machine.group_used_bytes)},
            {"usable_bytes", machine.usable_bytes()}}}};
}

std::string instruction_sets(const platform::MachineReport& report) {
  std::string text;
  for (const std::string& name : report.instruction_sets)
    text += (text.empty() ? "" : ", ") + name +
            (name == report.selected_instruction_set ? " (selected)" : "");
  return text;
}

std::vector<std::vector<std::string>> rows(const platform::MachineReport& report) {
  const auto& machine = report.machine;
  std::vector<std::vector<std::string>> rows{
      {"version", report.version},
      {"build", fmt::format("{}, {}, {}", report.compiler, report.build_type, report.architecture)},
      {"processor", machine.processor.empty() ? "unknown" : printable(machine.processor)},
      {"instruction sets", instruction_sets(report)},
      {"threads", fmt::format("{} usable of {}", machine.usable_threads, machine.processors)}};
  if (machine.group_processors)
    rows.push_back({"control group", fmt::format("{:.2f} processors", *machine.group_processors)});
  rows.push_back(
      {"memory",
       fmt::format("{} usable, {} available of {}", human_bytes(machine.usable_bytes()),
                   human_bytes(machine.available_bytes), human_bytes(machine.memory_bytes))});
  if (machine.group_limit_bytes)
    rows.push_back({"control group",
                    fmt::format("limit {}, {} in use", human_bytes(*machine.group_limit_bytes),
                                human_bytes(machine.group_used_bytes.value_or(0)))});
  return rows;
}

void run(const Options& options, Session& session) {
  const auto report = session.platform().machine();
  if (options.json)
    session.console().json(report_json(report));
  else
    session.console().write(table(rows(report)));
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  cli.add_flag("--json", options->json, "Print the report as JSON");
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command info{
    .name = "info",
    .summary = "Show version, build, instruction sets, processors and memory",
    .details =
        "The best instruction set that this machine runs is selected; the environment variable "
        "MALINA_ISA\nnames another. Limits of the control group (a container's, say) count as "
        "the machine's.",
    .examples =
        "  malina info\n"
        "  MALINA_ISA=avx2 malina info --json\n",
    .setup = setup};

}  // namespace malina::app
