// What adapters cost: a step of 16 decoding sequences with 16 different adapters of rank 16, with
// one adapter for all and with none, and the prefill of one adapter; interleaved rounds in one
// process.
//
//   adapters MODEL.gguf [--rounds 40] [--threads N]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "model/adapter_tensors.h"
#include "model/transformer.h"

namespace {

using namespace malina;
using Clock = std::chrono::steady_clock;
using Adapters = std::vector<std::shared_ptr<const model::Adapter>>;

constexpr std::size_t kSequences = 16, kRank = 16, kPrompt = 128, kPrefill = 512;

std::shared_ptr<const model::Adapter> random_adapter(const model::Model& model, std::uint64_t seed,
                                                     math::Device& device) {
  base::Random random(seed);
  model::AdapterTensors tensors;
  tensors.layers.resize(model.layers().size());
  for (std::size_t layer = 0; layer < tensors.layers.size(); ++layer)
    for (std::size_t i = 0; i < model::kProjections; ++i) {
      const auto projection = static_cast<model::Projection>(i);
      const math::Slice& weight = model::weight_of(model.layers()[layer], projection);
      if (!weight) continue;
      model::LowRankMatrix& matrix = tensors.matrix(layer, projection);
      matrix = {.rank = kRank, .inputs = weight.columns, .outputs = weight.rows, .alpha = 32};
      matrix.a.resize(kRank * weight.columns);
      matrix.b.resize(kRank * weight.rows);
      for (float& value : matrix.a) value = random.uniform(-0.02F, 0.02F);
      for (float& value : matrix.b) value = random.uniform(-0.002F, 0.002F);
    }
  return to_adapter(tensors, "", device, model::Adapter::Storage::half);
}

double milliseconds(const std::function<void()>& work) {
  const auto begin = Clock::now();
  work();
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// Beside other work the least says more than the median.
struct Times {
  double median, least;
};

Times times_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values.front()};
}

std::string against(const Times& times, const Times& base) {
  return fmt::format("{:.2f} ms ({:.2f}x; least {:.2f} ms, {:.2f}x)", times.median,
                     times.median / base.median, times.least, times.least / base.least);
}

class Bench {
 public:
  Bench(const std::string& file, unsigned threads)
      : pool_(threads),
        device_(pool_),
        model_(model::Model::load(format::Checkpoint::open(file), device_, pool_)),
        transformer_(model_, device_, {.max_rows = kPrefill}) {
    for (std::size_t i = 0; i < kSequences; ++i)
      adapters_.push_back(random_adapter(*model_, i + 1, device_));
  }

  void decode(std::size_t rounds) {
    model::PagePool pages(device_, model_->sizes(), math::KvType::f16,
                          kSequences * (kPrompt + 64 + 4 * rounds));
    std::vector<model::Sequence> sequences;
    for (std::size_t i = 0; i < kSequences; ++i) {
      sequences.emplace_back(pages);
      step(sequences.back(), kPrompt);
    }
    const std::vector<Adapters> kinds{Adapters(kSequences, nullptr),
                                      Adapters(kSequences, adapters_[0]), adapters_};
    std::vector<std::vector<double>> times(kinds.size());
    for (std::size_t round = 0; round < rounds + 2; ++round)
      for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
        const double time = milliseconds([&] { step_all(sequences, kinds[kind]); });
        if (round >= 2) times[kind].push_back(time);
      }
    const Times base = times_of(times[0]);
    fmt::print(
        "a step of {} decoding sequences: base {:.2f} ms (least {:.2f} ms)\n"
        "  one adapter of rank {} for all: {}\n  {} different adapters: {}\n",
        kSequences, base.median, base.least, kRank, against(times_of(times[1]), base), kSequences,
        against(times_of(times[2]), base));
  }

  void prefill(std::size_t rounds) {
    std::vector<double> base, adapted;
    model::PagePool pages(device_, model_->sizes(), math::KvType::f16, kPrefill + 64);
    for (std::size_t round = 0; round < rounds + 1; ++round)
      for (auto* times : {&base, &adapted}) {
        model::Sequence sequence(pages);
        if (times == &adapted) sequence.adapter = adapters_[0];
        const double time = milliseconds([&] { step(sequence, kPrefill); });
        if (round >= 1) times->push_back(time);
      }
    const Times alone = times_of(base);
    fmt::print("prefill of {} tokens: base {:.1f} ms (least {:.1f} ms)\n  one adapter: {}\n",
               kPrefill, alone.median, alone.least, against(times_of(adapted), alone));
  }

 private:
  void step(model::Sequence& sequence, std::size_t tokens) {
    std::vector<model::Row> rows;
    for (std::size_t i = 0; i < tokens; ++i)
      rows.push_back({.token = static_cast<std::int32_t>(100 + i * 7 % 1000),
                      .sequence = &sequence,
                      .wants = i + 1 == tokens ? model::Wants::logits : model::Wants::nothing});
    transformer_.forward(rows, [](const model::Output&) {});
  }

  void step_all(std::vector<model::Sequence>& sequences, const Adapters& adapters) {
    std::vector<model::Row> rows;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      sequences[i].adapter = adapters[i];
      rows.push_back({.token = static_cast<std::int32_t>(200 + i),
                      .sequence = &sequences[i],
                      .wants = model::Wants::logits});
    }
    transformer_.forward(rows, [](const model::Output&) {});
  }

  base::ThreadPool pool_;
  math::CpuDevice device_;
  std::shared_ptr<const model::Model> model_;
  model::Transformer transformer_;
  Adapters adapters_;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    fmt::print(stderr, "usage: adapters MODEL.gguf [--rounds N] [--threads N]\n");
    return 2;
  }
  std::size_t rounds = 40;
  unsigned threads = 2;
  for (int i = 2; i + 1 < count; i += 2) {
    const std::string_view option = arguments[i];
    if (option == "--rounds") rounds = std::strtoul(arguments[i + 1], nullptr, 10);
    if (option == "--threads")
      threads = static_cast<unsigned>(std::strtoul(arguments[i + 1], nullptr, 10));
  }
  try {
    Bench bench(arguments[1], threads);
    bench.decode(rounds);
    bench.prefill(std::max<std::size_t>(3, rounds / 8));
  } catch (const base::Error& error) {
    fmt::print(stderr, "adapters: {}\n", error.what());
    return 1;
  }
  return 0;
}
