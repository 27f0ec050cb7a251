// malina adapter: adapters in other forms, and merged into their base.
#include <array>

#include "app/command.h"
#include "app/number_checks.h"
#include "app/progress_bar.h"

namespace malina::app {

namespace {

struct Options {
  std::string adapter, base;
  std::filesystem::path output;
  platform::MergeRequest merge;
  bool json = false;
};

void warn(const std::vector<std::string>& warnings, Console& console) {
  for (const std::string& warning : warnings)
    console.status(fmt::format("note: {}\n", printable(warning)));
}

void add_common(CLI::App& cli, Options& options) {
  cli.add_option("ADAPTER", options.adapter,
                 "The name of an adapter in the store, a PEFT directory or a GGUF adapter")
      ->required();
  cli.add_option("--base", options.base,
                 "The model that the adapter is for, where it is not in the store itself")
      ->type_name("MODEL");
}

void export_to(const Options& options, Session& session) {
  const auto report =
      session.platform().export_adapter(options.adapter, options.base, options.output);
  Console& console = session.console();
  if (options.json)
    return console.json({{"output", report.output.string()},
                         {"format", report.format},
                         {"parameters", report.parameters},
                         {"warnings", report.warnings}});
  warn(report.warnings, console);
  console.print("{}: {}, {} parameters\n", printable(report.output.string()), report.format,
                report.parameters);
}

Action setup_export(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  add_common(cli, *options);
  cli.add_option("OUT", options->output, "A GGUF adapter (NAME.gguf) or a directory for PEFT")
      ->required();
  cli.add_flag("--json", options->json, "Print the report as JSON");
  return [options](Session& session) { export_to(*options, session); };
}

Json parity_json(const platform::MergeParity& parity) {
  return {{"positions", parity.positions},
          {"change", parity.change},
          {"lost", parity.lost},
          {"largest", parity.largest},
          {"same_token", parity.same_token}};
}

void merge(const Options& options, Session& session) {
  platform::MergeReport report;
  {
    ProgressBar bar(session.console());
    report =
        session.platform().merge_adapter(options.adapter, options.base, options.merge, bar.sink());
  }
  Console& console = session.console();
  if (options.json)
    return console.json({{"output", report.written.output.string()},
                         {"format", report.written.format},
                         {"output_bytes", report.written.output_bytes},
                         {"parity", parity_json(report.parity)},
                         {"warnings", report.warnings}});
  warn(report.warnings, console);
  const platform::MergeParity& parity = report.parity;
  console.print("{}: {}, {}\n", printable(report.written.output.string()), report.written.format,
                human_bytes(report.written.output_bytes));
  console.print(
      "  of what the adapter changes {:.3g} % is lost; the likeliest token is the same at {} of {} "
      "positions\n",
      100 * parity.lost, parity.same_token, parity.positions);
}

Action setup_merge(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  add_common(cli, *options);
  platform::MergeRequest& request = options->merge;
  cli.add_option("OUT", request.output, "A GGUF file (NAME.gguf) or a Hugging Face directory")
      ->required();
  cli.add_option("--type", request.type,
                 "Of adapted matrices in a GGUF file: an encoding, otherwise the base's; of all "
                 "matrices of a directory: f32|f16|bf16, otherwise f32")
      ->type_name("ENCODING");
  cli.add_flag("--force", request.force, "Write it though it loses too much of the adapter");
  cli.add_flag("--replace", request.replace, "Replace a GGUF file OUT where it exists");
  cli.add_option("--threads", request.threads, "Threads to compute with; by default one a core")
      ->check(whole_number(1, 1024));
  cli.add_flag("--json", options->json, "Print the report as JSON");
  return [options](Session& session) { merge(*options, session); };
}

constexpr std::array kVerbs{
    Verb{.name = "export",
         .summary = "Write an adapter as a PEFT directory or a GGUF adapter",
         .details =
             "PEFT's values come back bit for bit. A GGUF adapter has one scale and no head: other "
             "scales, and\nrsLoRA's, go into its numbers, and a head is refused.",
         .examples = "  malina adapter export smollm2:support support.gguf\n"
                     "  malina adapter export support.gguf support-peft --base smollm2\n",
         .setup = setup_export},
    Verb{.name = "merge",
         .summary = "Write a model with an adapter merged into it",
         .details =
             "Before anything is written the logits of a text are compared: base, base with "
             "adapter, "
             "merged.\nWhere more than a tenth of what the adapter changes would be lost, as in "
             "encodings of few bits,\nit is refused. Two of the model must fit in memory.",
         .examples = "  malina adapter merge smollm2:support support.gguf --type q8_0\n"
                     "  malina adapter merge smollm2:support support-directory\n",
         .setup = setup_merge}};

Action setup(CLI::App& cli) { return add_verbs(cli, kVerbs); }

}  // namespace

extern const Command adapter{
    .name = "adapter",
    .summary = "Write adapters in other forms, or merge them into their base",
    .details = "'malina import DIR --base MODEL' puts an adapter into the store as MODEL:NAME.",
    .examples =
        "  malina adapter export smollm2:support support.gguf\n"
        "  malina adapter merge smollm2:support support-directory\n",
    .setup = setup};

}  // namespace malina::app
