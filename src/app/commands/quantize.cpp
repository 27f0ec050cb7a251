// malina quantize: a copy of a model with its matrices in another encoding.
#include <fmt/ranges.h>

#include "app/command.h"
#include "app/generation_options.h"
#include "app/number_checks.h"
#include "app/progress_bar.h"

namespace malina::app {

namespace {

using platform::EncodingShare;
using platform::QuantizeReport;

struct Options {
  std::string model;
  platform::QuantizeRequest request;
  std::string calibration;  // path of a text
  bool json = false;
};

double bits_a_weight(const QuantizeReport& report) {
  std::uint64_t bytes = 0;
  for (const EncodingShare& share : report.to) bytes += share.bytes;
  return report.parameters == 0
             ? 0
             : 8 * static_cast<double>(bytes) / static_cast<double>(report.parameters);
}

Json shares_json(const std::vector<EncodingShare>& shares) {
  Json list = Json::array();
  for (const EncodingShare& share : shares)
    list.push_back({{"name", share.encoding},
                    {"tensors", share.tensors},
                    {"parameters", share.parameters},
                    {"bytes", share.bytes}});
  return list;
}

Json report_json(const QuantizeReport& report) {
  Json tensors = Json::array();
  for (const auto& tensor : report.tensors)
    tensors.push_back({{"name", tensor.name},
                       {"from", tensor.from},
                       {"to", tensor.to},
                       {"reason", tensor.reason.empty() ? Json() : Json(tensor.reason)},
                       {"parameters", tensor.parameters},
                       {"bytes", tensor.bytes},
                       {"error", tensor.error}});
  return {{"model", report.model},
          {"output", report.output.string()},
          {"encoding", report.encoding},
          {"source_bytes", report.source_bytes},
          {"output_bytes", report.output_bytes},
          {"parameters", report.parameters},
          {"bits_a_weight", bits_a_weight(report)},
          {"error", report.error},
          {"quantized_before", report.quantized_before},
          {"calibration_tokens", report.calibration_tokens},
          {"calibrated_tensors", report.calibrated_tensors},
          {"from", shares_json(report.from)},
          {"to", shares_json(report.to)},
          {"tensors", std::move(tensors)}};
}

// Encodings beside the one that was asked for, with why: "q8_0: 61 tensors (rows of 576 ...)".
std::vector<std::string> exceptions(const QuantizeReport& report) {
  std::vector<std::pair<std::string, std::size_t>> counts;
  for (const auto& tensor : report.tensors) {
    if (tensor.reason.empty()) continue;
    const std::string key = fmt::format("{} ({})", tensor.to, tensor.reason);
    const auto found = std::find_if(counts.begin(), counts.end(),
                                    [&](const auto& count) { return count.first == key; });
    if (found == counts.end())
      counts.emplace_back(key, 1);
    else
      ++found->second;
  }
  std::vector<std::string> lines;
  for (const auto& [key, count] : counts)
    lines.push_back(fmt::format("{} tensor{} in {}", count, count == 1 ? "" : "s", key));
  return lines;
}

void print(const QuantizeReport& report, Console& console) {
  console.print("{}: {} instead of {}, {:.2f} bits a weight, relative error {:.2f} %\n",
                printable(report.output.string()), human_bytes(report.output_bytes),
                human_bytes(report.source_bytes), bits_a_weight(report), 100 * report.error);
  if (report.calibration_tokens > 0)
    console.print("  {} tensors by importance, from {} tokens of calibration\n",
                  report.calibrated_tensors, report.calibration_tokens);
  for (const std::string& line : exceptions(report)) console.print("  {}\n", line);
  if (!report.quantized_before.empty())
    console.print("  note: the model was quantised before ({}); what that lost stays lost\n",
                  fmt::join(report.quantized_before, ", "));
}

void run(const Options& options, Session& session) {
  platform::QuantizeRequest request = options.request;
  if (!options.calibration.empty()) {
    request.calibration = read_file(options.calibration);
    request.calibration_name = options.calibration == "-"
                                   ? "-"
                                   : std::filesystem::path(options.calibration).filename().string();
  }
  QuantizeReport report;
  {
    ProgressBar bar(session.console());
    report = session.platform().quantize(options.model, request, bar.sink());
  }
  if (options.json)
    session.console().json(report_json(report));
  else
    print(report, session.console());
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  platform::QuantizeRequest& request = options->request;
  const auto encodings = platform::quantization_encodings();
  cli.add_option("MODEL", options->model,
                 "A model's name, or the path of a GGUF file or a directory")
      ->required();
  cli.add_option("OUT", request.output, "The GGUF file to write")->required();
  cli.add_option("--to", request.encoding, "What the matrices are to be stored in")
      ->required()
      ->check(CLI::IsMember(encodings));
  cli.add_option("--calibrate", options->calibration,
                 "A text: errors count by what it makes of the model; - for standard input");
  cli.add_flag("--force", request.replace, "Replace OUT where it exists");
  cli.add_option("--threads", request.threads, "Threads to compute with; by default one a core")
      ->check(whole_number(1, 1024));
  cli.add_flag("--json", options->json, "Print the report as JSON, tensor by tensor");
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command quantize{
    .name = "quantize",
    .summary = "Write a copy of a model in another encoding, usually a smaller one",
    .details =
        "Every matrix is stored in the encoding that is asked for, but the output matrix (or the "
        "embedding\n"
        "that serves as one) in at least 6 bits, and norms, biases and routers in float32. Where "
        "rows are\n"
        "not whole blocks the next finer encoding is taken, and the report says so. Tensors are "
        "streamed:\n"
        "a model may be larger than the memory. The file appears complete or not at all.\n"
        "\n"
        "--calibrate runs a text through the model first, which must fit in memory then: at the "
        "same "
        "size\n"
        "columns that the text makes more of are written more exactly. Some ten thousand tokens "
        "will "
        "do.",
    .examples =
        "  malina quantize model-f16.gguf model-q4_0.gguf --to q4_0\n"
        "  malina quantize model-f16.gguf model-q3_k.gguf --to q3_k --calibrate book.txt\n"
        "  malina quantize smollm2-135m-instruct plain.gguf --to f16    (undoes the blocks, not "
        "the "
        "loss)\n",
    .setup = setup};

}  // namespace malina::app
