// Speed of the matrix products on one thread, for the shapes of SmolLM2-135M. For each encoding,
// mode, instruction set and number of activation rows: GMAC/s, and GB/s of packed weights read.
// Choose with --benchmark_filter, for example 'q4_1/quantized/avx2/.*'.
#include <benchmark/benchmark.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "math/encoding.h"

namespace malina::math {
namespace {

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
template <class T>
std::unique_ptr<T[], Free> aligned(std::size_t count) {
  const std::size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
  return std::unique_ptr<T[], Free>(static_cast<T*>(std::aligned_alloc(64, bytes)));
}

struct Problem {
  Problem(const Encoding& encoding, std::size_t rows, std::size_t columns, std::size_t tokens)
      : weights(aligned<std::byte>(rows / kGroupRows * encoding.group_bytes(columns))),
        values(aligned<std::int8_t>(tokens * columns)),
        scales(aligned<float>(tokens * columns / kBlock)),
        sums(aligned<std::int32_t>(tokens * columns / 16)),
        floats(aligned<float>(tokens * columns)),
        output(aligned<float>(tokens * rows)),
        matrix{weights.get(), rows, columns},
        quantized{values.get(), scales.get(), sums.get(), tokens, columns},
        exact{floats.get(), tokens, columns} {
    std::mt19937 random(1);
    // Small bytes only: as halves or floats they are small numbers, none of them infinite.
    const std::size_t bytes = rows / kGroupRows * encoding.group_bytes(columns);
    for (std::size_t i = 0; i < bytes; ++i) weights[i] = static_cast<std::byte>(random() % 40);
    for (std::size_t i = 0; i < tokens * columns; ++i) {
      values[i] = static_cast<std::int8_t>(static_cast<int>(random() % 255) - 127);
      floats[i] = static_cast<float>(values[i]) / 127.0F;
    }
    std::memset(sums.get(), 0, tokens * columns / 16 * sizeof(std::int32_t));
    for (std::size_t i = 0; i < tokens * columns; ++i) sums[i / 16] += values[i];
    for (std::size_t i = 0; i < tokens * columns / kBlock; ++i) scales[i] = 0.01F;
  }

  std::unique_ptr<std::byte[], Free> weights;
  std::unique_ptr<std::int8_t[], Free> values;
  std::unique_ptr<float[], Free> scales;
  std::unique_ptr<std::int32_t[], Free> sums;
  std::unique_ptr<float[], Free> floats, output;
  PackedMatrix matrix;
  QuantizedRows quantized;
  FloatRows exact;
};

enum class Mode { quantized, exact, transposed };

void run(benchmark::State& state, const Encoding* encoding, Isa isa, Mode mode, std::size_t rows,
         std::size_t columns, std::size_t tokens) {
  const Products& products = *encoding->products[static_cast<std::size_t>(isa)];
  Problem problem(*encoding, rows, columns, tokens);
  const std::size_t groups = rows / kGroupRows;
  for (auto _ : state) {
    const ProductOutput output{problem.output.get(), mode == Mode::transposed ? columns : rows,
                               false};
    if (mode == Mode::quantized) {
      products.quantized(problem.matrix, problem.quantized, 0, groups, output);
    } else if (mode == Mode::exact) {
      products.exact(problem.matrix, problem.exact, 0, groups, output);
    } else {
      // As many numbers as rows * tokens stand in the larger of both buffers.
      const FloatRows dy{rows < columns ? problem.floats.get() : problem.output.get(), tokens,
                         rows};
      const ProductOutput dx{rows < columns ? problem.output.get() : problem.floats.get(), columns,
                             false};
      if (rows < columns) continue;
      products.transposed(problem.matrix, dy, 0, columns, dx);
    }
    benchmark::ClobberMemory();
  }
  const double times = static_cast<double>(state.iterations());
  const double macs = static_cast<double>(rows * columns * tokens) * times;
  const double bytes = static_cast<double>(groups * encoding->group_bytes(columns)) * times;
  state.counters["GMAC/s"] = benchmark::Counter(macs * 1e-9, benchmark::Counter::kIsRate);
  state.counters["GB/s"] = benchmark::Counter(bytes * 1e-9, benchmark::Counter::kIsRate);
}

void register_all() {
  struct Size {
    std::size_t rows, columns;
  };
  constexpr const char* kModes[] = {"quantized", "exact", "transposed"};
  for (const Encoding* encoding : encodings()) {
    for (const Mode mode : {Mode::quantized, Mode::exact, Mode::transposed}) {
      for (const Isa isa : available_isas()) {
        const Products* products = encoding->products[static_cast<std::size_t>(isa)];
        if (products == nullptr) continue;
        if (mode == Mode::quantized && products->quantized == nullptr) continue;
        for (const Size size : {Size{576, 576}, {1536, 576}, {576, 1536}, {49152, 576}}) {
          if (size.columns % encoding->block_values != 0) continue;
          if (mode == Mode::transposed && size.rows < size.columns) continue;
          for (const std::size_t tokens : {1U, 4U, 16U, 64U, 512U}) {
            const std::string title =
                std::string(encoding->name) + "/" + kModes[static_cast<std::size_t>(mode)] + "/" +
                std::string(name(isa)) + "/" + std::to_string(size.rows) + "x" +
                std::to_string(size.columns) + "/" + std::to_string(tokens);
            benchmark::RegisterBenchmark(title.c_str(), run, encoding, isa, mode, size.rows,
                                         size.columns, tokens)
                ->Unit(benchmark::kMicrosecond);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace malina::math

int main(int count, char** arguments) {
  malina::math::register_all();
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
