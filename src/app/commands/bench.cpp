// malina bench: how fast a model runs here, and what the machine would allow.
#include "app/command.h"
#include "app/number_checks.h"
#include "app/progress_bar.h"
#include "platform/speed.h"

namespace malina::app {
namespace {

struct Options {
  std::string model;
  platform::SpeedTestOptions test;
  bool json = false;
};

Json sample_json(const platform::SpeedSample& sample) {
  return {{"test", sample.test},
          {"tokens", sample.tokens},
          {"depth", sample.depth},
          {"batch", sample.batch},
          {"threads", sample.threads},
          {"tokens_per_second",
           {{"median", sample.median},
            {"min", sample.minimum},
            {"max", sample.maximum},
            {"runs", sample.tokens_per_second}}},
          {"bytes_per_token", sample.bytes_per_token},
          {"multiply_adds_per_token", sample.multiply_adds_per_token},
          {"bandwidth_share", sample.bandwidth_share},
          {"arithmetic_share", sample.arithmetic_share}};
}

Json result_json(const std::string& model, const platform::SpeedTestResult& result) {
  Json results = Json::array();
  for (const auto& sample : result.samples) results.push_back(sample_json(sample));
  Json limits = Json::array();
  for (const auto& limit : result.limits)
    limits.push_back({{"threads", limit.threads},
                      {"read_bytes_per_second", limit.read_bytes_per_second},
                      {"multiply_adds_per_second", limit.multiply_adds_per_second}});
  return {{"model", model},
          {"isa", result.isa},
          {"results", results},
          {"limits", limits},
          {"peak_memory_bytes", result.peak_memory_bytes}};
}

void print_table(const platform::SpeedTestResult& result, Console& console) {
  std::vector<std::vector<std::string>> rows{{"test", "tokens", "depth", "batch", "threads",
                                              "tokens/s", "min", "max", "of bandwidth",
                                              "of arithmetic"}};
  for (const auto& sample : result.samples)
    rows.push_back({sample.test, fmt::format("{}", sample.tokens), fmt::format("{}", sample.depth),
                    fmt::format("{}", sample.batch), fmt::format("{}", sample.threads),
                    fmt::format("{:.1f}", sample.median), fmt::format("{:.1f}", sample.minimum),
                    fmt::format("{:.1f}", sample.maximum),
                    fmt::format("{:.0f} %", 100 * sample.bandwidth_share),
                    fmt::format("{:.0f} %", 100 * sample.arithmetic_share)});
  console.write(table(rows, {1, 2, 3, 4, 5, 6, 7, 8, 9}));
  for (const auto& limit : result.limits)
    console.print(
        "measured limits, {} thread{}: reads {:.1f} GB/s, {:.0f} billion multiply-adds/s\n",
        limit.threads, limit.threads == 1 ? "" : "s", limit.read_bytes_per_second / 1e9,
        limit.multiply_adds_per_second / 1e9);
  console.print("instructions {}; peak memory {}\n", result.isa,
                human_bytes(result.peak_memory_bytes));
}

void run(const Options& options, Session& session) {
  platform::SpeedTestOptions test = options.test;
  platform::SpeedTestResult result;
  {
    ProgressBar bar(session.console());
    constexpr std::uint64_t kParts = 1000;
    test.progress = [&](double share) {
      bar({"measuring", static_cast<std::uint64_t>(share * static_cast<double>(kParts)), kParts});
    };
    result = session.platform().speed_test(options.model, test);
  }
  if (options.json)
    session.console().json_line(result_json(options.model, result));
  else
    print_table(result, session.console());
}

constexpr std::uint64_t kMostTokens = 1 << 20;

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  platform::SpeedTestOptions& test = options->test;
  cli.add_option("MODEL", options->model,
                 "A model's name, or the path of a GGUF file or a directory")
      ->required();
  cli.add_option("--prefill", test.prefill, "Lengths of prompts in tokens: 128,512")
      ->delimiter(',')
      ->check(whole_number(1, kMostTokens))
      ->capture_default_str();
  cli.add_option("--decode", test.decode, "How many tokens each sequence generates")
      ->delimiter(',')
      ->check(whole_number(1, kMostTokens))
      ->capture_default_str();
  cli.add_option("--depth", test.depths, "Positions already in the cache when decoding: 0,2048")
      ->delimiter(',')
      ->check(whole_number(0, kMostTokens))
      ->capture_default_str();
  cli.add_option("--batch", test.batches, "Sequences that decode together: 1,4,16")
      ->delimiter(',')
      ->check(whole_number(1, 512))
      ->capture_default_str();
  cli.add_option("--threads", test.threads, "Numbers of threads: 1,2; by default one a core")
      ->delimiter(',')
      ->check(whole_number(1, 1024));
  cli.add_option("--repetitions", test.repetitions, "Runs of each test")
      ->check(whole_number(1, 1000))
      ->capture_default_str();
  cli.add_option("--kv", test.kv_type, "How keys and values are stored: f32|f16|q8_0")
      ->check(CLI::IsMember({"f32", "f16", "q8_0"}));
  cli.add_flag("--exact", test.exact, "Compute in float32 as the reference does");
  cli.add_flag("--json", options->json, "Print one JSON object");
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command bench{
    .name = "bench",
    .summary = "Measure how fast a model runs on this machine",
    .details =
        "Shows medians, and the share of this machine's own measured bandwidth and arithmetic that "
        "a\n"
        "model's weights and products take at that speed.",
    .examples =
        "  malina bench smollm2-135m-instruct\n"
        "  malina bench smollm2-135m-instruct --threads 1,2 --depth 0,2048 --batch 1,16 --json",
    .setup = setup};

}  // namespace malina::app
