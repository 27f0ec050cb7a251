// malina convert: a Hugging Face directory into a GGUF file, and back.
#include <fmt/ranges.h>

#include "app/command.h"
#include "app/number_checks.h"
#include "app/progress_bar.h"

namespace malina::app {

namespace {

using platform::ConvertReport;

struct Options {
  std::string model;
  platform::ConvertRequest request;
  bool json = false;
};

Json report_json(const ConvertReport& report) {
  return {{"model", report.model},
          {"output", report.output.string()},
          {"format", report.format},
          {"source_bytes", report.source_bytes},
          {"output_bytes", report.output_bytes},
          {"parameters", report.parameters},
          {"tensors", report.tensors},
          {"files", report.files},
          {"decoded", report.decoded},
          {"error", report.error}};
}

void print(const ConvertReport& report, Console& console) {
  console.print("{}: {}, {} tensors, {}\n", printable(report.output.string()), report.format,
                report.tensors, human_bytes(report.output_bytes));
  if (!report.files.empty()) console.print("  {}\n", fmt::join(report.files, ", "));
  if (!report.decoded.empty())
    console.print(
        "  note: the model is quantised ({}); its values are kept as they are decoded, "
        "and what quantising lost stays lost\n",
        fmt::join(report.decoded, ", "));
  if (!report.exact())
    console.print("  note: rounded to the type that was asked for, relative error {:.2g} %\n",
                  100 * report.error);
}

void run(const Options& options, Session& session) {
  ConvertReport report;
  {
    ProgressBar bar(session.console());
    report = session.platform().convert(options.model, options.request, bar.sink());
  }
  if (options.json)
    session.console().json(report_json(report));
  else
    print(report, session.console());
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  platform::ConvertRequest& request = options->request;
  cli.add_option("MODEL", options->model, "A Hugging Face directory, a GGUF file or a model's name")
      ->required();
  cli.add_option("OUT", request.output,
                 "The GGUF file to write of a directory, the directory to write of a GGUF file")
      ->required();
  cli.add_option(
         "--type", request.type,
         "Of a directory's matrices: f32|f16|bf16; otherwise what they are, and f32 for what "
         "is quantised")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}));
  cli.add_option("--shard-bytes", request.shard_bytes,
                 "A safetensors file holds no more than this, where a tensor is not larger")
      ->check(whole_number(1, std::uint64_t{1} << 62))
      ->capture_default_str();
  cli.add_flag("--force", request.replace, "Replace a GGUF file OUT where it exists");
  cli.add_option("--threads", request.threads, "Threads to compute with; by default one a core")
      ->check(whole_number(1, 1024));
  cli.add_flag("--json", options->json, "Print the report as JSON");
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command convert{
    .name = "convert",
    .summary = "Write a Hugging Face directory as a GGUF file, or a GGUF file as a directory",
    .details =
        "Weights keep their values: bfloat16, half and single precision are copied bit for bit, "
        "and\n"
        "quantised ones are decoded to single precision unless --type says otherwise. Names, the "
        "order\n"
        "of rows and what norms add are changed as the two forms need it; the tokenizer, the chat\n"
        "template and the end tokens go with them. Tensors are streamed: a model may be larger "
        "than the\n"
        "memory. The output appears complete or not at all.",
    .examples =
        "  malina convert ~/models/Mistral-7B-v0.3 mistral-7b-v0.3.gguf\n"
        "  malina convert smollm2-135m-instruct smollm2-directory --type bf16\n",
    .setup = setup};

}  // namespace malina::app
