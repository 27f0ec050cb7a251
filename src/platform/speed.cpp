#include "platform/speed.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "math/machine_limits.h"
#include "model/transformer.h"
#include "platform/model_file.h"

namespace malina::platform {
namespace {

using base::Error;
using base::Fault;
using Clock = std::chrono::steady_clock;

math::KvType kv_type_of(const SpeedTestOptions& options) {
  if (options.kv_type == "f32" || (options.kv_type.empty() && options.exact))
    return math::KvType::f32;
  if (options.kv_type == "q8_0") return math::KvType::q8_0;
  if (options.kv_type.empty() || options.kv_type == "f16") return math::KvType::f16;
  throw Error(
      Fault::invalid_argument,
      fmt::format("'{}' is not a type of keys and values: f32, f16 or q8_0", options.kv_type));
}

constexpr std::size_t kWarmUp = 2;  // tokens

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// One number of threads: a pool, the model packed for it, and its transformer.
class Bench {
 public:
  Bench(const ModelFile& file, const SpeedTestOptions& options, unsigned threads,
        std::size_t positions, std::size_t context)
      : pool_(threads),
        device_(pool_),
        model_(model::Model::load(file.checkpoint, device_, pool_)),
        pages_(device_, model_->sizes(), kv_type_of(options), positions),
        transformer_(model_, device_,
                     {.precision = options.exact ? math::Precision::exact : math::Precision::fast,
                      .max_rows = 0,
                      .context = context}) {}

  base::ThreadPool& pool() { return pool_; }

  double prefill(std::size_t tokens) {
    model::Sequence sequence(pages_);
    const auto start = Clock::now();
    fill(sequence, tokens);
    return static_cast<double>(tokens) / seconds_since(start);
  }

  double decode(std::size_t tokens, std::size_t depth, std::size_t batch) {
    std::vector<model::Sequence> sequences;
    sequences.emplace_back(pages_);
    if (depth > 0) fill(sequences[0], depth);
    while (sequences.size() < batch) sequences.push_back(sequences[0].fork());
    const auto start = Clock::now();
    for (std::size_t i = 0; i < tokens; ++i) {
      std::vector<model::Row> rows;
      for (auto& sequence : sequences)
        rows.push_back({token(i + 31 * rows.size()), &sequence, model::Wants::logits});
      transformer_.forward(rows, [](const model::Output&) {});
    }
    return static_cast<double>(tokens * batch) / seconds_since(start);
  }

 private:
  std::int32_t token(std::size_t i) const {
    return static_cast<std::int32_t>((i * 7919 + 13) % model_->sizes().vocab);
  }
  void fill(model::Sequence& sequence, std::size_t tokens) {
    for (std::size_t first = 0; first < tokens; first += transformer_.max_rows()) {
      const std::size_t last = std::min(tokens, first + transformer_.max_rows());
      std::vector<model::Row> rows;
      for (std::size_t i = first; i < last; ++i)
        rows.push_back(
            {token(i), &sequence, i + 1 == tokens ? model::Wants::logits : model::Wants::nothing});
      transformer_.forward(rows, [](const model::Output&) {});
    }
  }

  base::ThreadPool pool_;
  math::CpuDevice device_;
  std::shared_ptr<const model::Model> model_;
  model::PagePool pages_;
  model::Transformer transformer_;
};

// Bytes and multiply-adds a token, counted by running the same code on a planning device.
class Plan {
 public:
  Plan(const ModelFile& file, const SpeedTestOptions& options, std::size_t positions,
       std::size_t context)
      : model_(model::Model::plan(file.checkpoint, device_)),
        pages_(device_, model_->sizes(), kv_type_of(options), positions),
        transformer_(model_, device_,
                     {.precision = options.exact ? math::Precision::exact : math::Precision::fast,
                      .max_rows = 0,
                      .context = context}) {}

  void count(SpeedSample& sample) {
    const bool prefill = sample.test == "prefill";
    const std::size_t length = prefill ? sample.tokens : sample.depth + sample.tokens / 2;
    std::vector<model::Sequence> sequences;
    for (std::size_t i = 0; i < sample.batch; ++i)
      sequences.emplace_back(pages_);
    if (!prefill)
      for (auto& sequence : sequences)
        for (std::size_t i = 0; i < length; ++i) sequence.extend();
    device_.reset_costs();
    std::size_t tokens = 0;
    if (prefill)
      tokens = fill(sequences[0], length);
    else
      tokens = step(sequences);
    const auto& total = device_.total();
    sample.bytes_per_token =
        static_cast<double>(total.read_bytes + total.written_bytes) / static_cast<double>(tokens);
    sample.multiply_adds_per_token = total.multiply_adds / static_cast<double>(tokens);
  }

 private:
  std::size_t fill(model::Sequence& sequence, std::size_t tokens) {
    for (std::size_t first = 0; first < tokens; first += transformer_.max_rows()) {
      std::vector<model::Row> rows(std::min(transformer_.max_rows(), tokens - first),
                                   {0, &sequence, model::Wants::nothing});
      if (first + rows.size() == tokens) rows.back().wants = model::Wants::logits;
      transformer_.forward(rows, [](const model::Output&) {});
    }
    return tokens;
  }
  std::size_t step(std::vector<model::Sequence>& sequences) {
    std::vector<model::Row> rows;
    for (auto& sequence : sequences) rows.push_back({0, &sequence, model::Wants::logits});
    transformer_.forward(rows, [](const model::Output&) {});
    return rows.size();
  }

  math::PlanningDevice device_;
  std::shared_ptr<const model::Model> model_;
  model::PagePool pages_;
  model::Transformer transformer_;
};

std::vector<SpeedSample> planned_samples(const SpeedTestOptions& options, unsigned threads) {
  std::vector<SpeedSample> samples;
  const auto add = [&](const char* test, std::size_t tokens, std::size_t depth, std::size_t batch) {
    SpeedSample sample;
    sample.test = test;
    sample.tokens = tokens;
    sample.depth = depth;
    sample.batch = batch;
    sample.threads = threads;
    samples.push_back(std::move(sample));
  };
  for (const std::size_t tokens : options.prefill) add("prefill", tokens, 0, 1);
  for (const std::size_t tokens : options.decode)
    for (const std::size_t depth : options.depths)
      for (const std::size_t batch : options.batches) add("decode", tokens, depth, batch);
  return samples;
}

void summarise(SpeedSample& sample, const MachineLimit& limit) {
  auto sorted = sample.tokens_per_second;
  std::sort(sorted.begin(), sorted.end());
  sample.minimum = sorted.front();
  sample.maximum = sorted.back();
  sample.median = sorted.size() % 2 == 1
                      ? sorted[sorted.size() / 2]
                      : (sorted[sorted.size() / 2 - 1] + sorted[sorted.size() / 2]) / 2;
  sample.bandwidth_share = sample.median * sample.bytes_per_token / limit.read_bytes_per_second;
  sample.arithmetic_share =
      sample.median * sample.multiply_adds_per_token / limit.multiply_adds_per_second;
}

void check(const SpeedTestOptions& options) {
  for (const auto* list : {&options.prefill, &options.decode, &options.batches})
    for (const std::size_t value : *list)
      if (value == 0 || value > (1 << 20))
        throw Error(Fault::invalid_argument,
                    fmt::format("{} is outside of 1 to {}", value, 1 << 20));
  if (options.repetitions == 0 || options.repetitions > 1000)
    throw Error(Fault::invalid_argument, "repetitions must be 1 to 1000");
}

}  // namespace

SpeedTestResult run_speed_test(const ModelFile& file, const SpeedTestOptions& options) {
  check(options);
  const auto most = [](const std::vector<std::size_t>& values) {
    return values.empty() ? std::size_t{0} : *std::max_element(values.begin(), values.end());
  };
  const std::size_t context = std::max(
      {kWarmUp, most(options.prefill), most(options.depths) + most(options.decode)});
  // Sequences of a batch share the pages of what they have in common.
  const std::size_t positions =
      context + std::max<std::size_t>(1, most(options.batches)) *
                    (most(options.depths) + most(options.decode) + 2 * math::kPagePositions);
  auto threads = options.threads;
  if (threads.empty()) threads.push_back(base::ThreadPool::default_threads());

  Plan plan(file, options, positions, context);
  SpeedTestResult result;
  result.isa = math::name(math::selected_isa());
  std::size_t done = 0;
  const std::size_t total =
      threads.size() * planned_samples(options, 1).size() * options.repetitions;
  for (const unsigned count : threads) {
    Bench bench(file, options, count, positions, context);
    bench.decode(kWarmUp, 0, 1);  // touches all weights
    const math::Isa isa = math::selected_isa();
    const MachineLimit limit{count, math::measure_read_bandwidth(bench.pool(), isa),
                             options.exact ? math::measure_float_rate(bench.pool(), isa)
                                           : math::measure_integer_rate(bench.pool(), isa)};
    result.limits.push_back(limit);
    for (SpeedSample& sample : planned_samples(options, count)) {
      for (std::size_t i = 0; i < options.repetitions; ++i) {
        sample.tokens_per_second.push_back(
            sample.test == "prefill" ? bench.prefill(sample.tokens)
                                     : bench.decode(sample.tokens, sample.depth, sample.batch));
        if (options.progress)
          options.progress(static_cast<double>(++done) / static_cast<double>(total));
      }
      plan.count(sample);
      summarise(sample, limit);
      result.samples.push_back(std::move(sample));
    }
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  result.peak_memory_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  return result;
}

}  // namespace malina::platform
