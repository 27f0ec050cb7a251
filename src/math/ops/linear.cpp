#include "math/ops/linear.h"

#include <algorithm>
#include <vector>

#include "math/ops/row_kernels.h"

namespace malina::math {
namespace {

constexpr std::size_t kAlign = 64;
constexpr std::size_t kSums = kBlock / 2;  // activations are summed 16 at a time
// Below this many bytes of weights waking the other threads costs more than it brings.
constexpr std::size_t kInlineBytes = 32 << 10;
constexpr std::size_t kTasksPerThread = 6;  // evens out a slow neighbour

std::size_t aligned(std::size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

std::size_t group_count(const Slice& weight) { return (weight.rows + kGroupRows - 1) / kGroupRows; }

const Products& products(const Slice& weight, Isa isa) {
  const Products* found = weight.encoding->products[static_cast<std::size_t>(isa)];
  require(found != nullptr, "linear", "no kernels for the selected instruction set");
  return *found;
}

// Asks for groups of a packed matrix that are read soon. Adapters are many small matrices far from
// each other, each too short for the processor to see a stream in it: without this a step of many
// adapters waits for memory most of the time.
void prefetch(const Slice& weight, std::size_t first_group, std::size_t last_group) {
  constexpr std::size_t kLine = 64;
  const std::size_t bytes = weight.bytes() / group_count(weight);
  const std::byte* data = packed_matrix(weight).data;
  for (std::size_t at = first_group * bytes; at < last_group * bytes; at += kLine)
    __builtin_prefetch(data + at);
}

bool is_quantized(const LinearPart& part, Precision precision, Isa isa) {
  return precision == Precision::fast && products(part.weight, isa).quantized != nullptr;
}

// Places `rows` quantised rows at `base`, and moves it behind them.
struct QuantizedPlace {
  std::int8_t* values;
  float* scales;
  std::int32_t* sums;

  QuantizedPlace(std::byte*& base, std::size_t rows, std::size_t columns)
      : values(reinterpret_cast<std::int8_t*>(base)) {
    base += aligned(rows * columns);
    scales = reinterpret_cast<float*>(base);
    base += aligned(rows * (columns / kBlock) * sizeof(float));
    sums = reinterpret_cast<std::int32_t*>(base);
    base += aligned(rows * (columns / kSums) * sizeof(std::int32_t));
  }
};

// The input in 8 bits and, when refined, what that leaves of it in 8 bits again.
struct QuantizedInput {
  QuantizedRows first, rest;
};

QuantizedInput quantize(const Linear& linear, CpuContext& context) {
  const std::size_t rows = linear.input.rows;
  const std::size_t columns = linear.input.columns;
  std::byte* base = linear.scratch.buffer->host() + linear.scratch.offset;
  const QuantizedPlace first(base, rows, columns);
  const QuantizedPlace rest = linear.refined ? QuantizedPlace(base, rows, columns) : first;
  const auto quantize_row = row_kernels(context.isa).quantize;
  const auto quantize_into = [&](const QuantizedPlace& place, const float* input, std::size_t row) {
    quantize_row(input, columns, place.values + row * columns,
                 place.scales + row * (columns / kBlock), place.sums + row * (columns / kSums));
  };
  const auto one = [&](std::size_t row) {
    const float* input = host_floats(linear.input) + row * linear.input.stride;
    quantize_into(first, input, row);
    if (!linear.refined) return;
    thread_local std::vector<float> left;
    left.resize(columns);
    for (std::size_t k = 0; k < columns; ++k)
      left[k] = input[k] - first.scales[row * (columns / kBlock) + k / kBlock] *
                               static_cast<float>(first.values[row * columns + k]);
    quantize_into(rest, left.data(), row);
  };
  if (rows * columns < 8192)
    for (std::size_t row = 0; row < rows; ++row) one(row);
  else
    context.pool.run(rows, one);
  return {{first.values, first.scales, first.sums, rows, columns},
          {rest.values, rest.scales, rest.sums, rows, columns}};
}

// scale * input A^T of every adapter of every part: [count, rank] each, one behind the other.
struct Projected {
  std::vector<float> values;
  std::vector<std::size_t> first;  // of each adapter, in the order of parts and their adapters
};

// Rows are cut into pieces for the threads; a row's result does not depend on its company.
Projected project_down(const Linear& linear, CpuContext& context) {
  constexpr std::size_t kPieceRows = 48;
  struct Piece {
    const LowRank* adapter;
    std::size_t first_row, rows, target;
  };
  Projected projected;
  std::vector<Piece> pieces;
  std::size_t size = 0;
  for (const LinearPart& part : linear.parts)
    for (const LowRank& adapter : part.adapters) {
      projected.first.push_back(size);
      for (std::size_t row = 0; row < adapter.count; row += kPieceRows)
        pieces.push_back({&adapter, adapter.first + row, std::min(kPieceRows, adapter.count - row),
                          size + row * adapter.a.rows});
      size += adapter.count * adapter.a.rows;
    }
  if (pieces.empty()) return projected;
  projected.values.resize(size);
  context.pool.run(pieces.size(), [&](std::size_t index) {
    const auto& [adapter, first_row, rows, target] = pieces[index];
    const std::size_t width = linear.input.columns, rank = adapter->a.rows;
    const FloatRows input{host_floats(linear.input) + first_row * width, rows, width};
    float* const h = projected.values.data() + target;
    prefetch(adapter->a, 0, group_count(adapter->a));
    products(adapter->a, context.isa)
        .exact(packed_matrix(adapter->a), input, 0, group_count(adapter->a), {h, rank, false});
    for (std::size_t i = 0; i < rows * rank; ++i) h[i] *= adapter->scale;
  });
  return projected;
}

struct Strip {
  const LinearPart* part;
  std::size_t first, last;  // groups
};

std::vector<Strip> split(std::span<const LinearPart> parts, unsigned threads) {
  std::size_t total = 0;
  std::size_t bytes = 0;
  for (const LinearPart& part : parts) {
    total += group_count(part.weight);
    bytes += part.weight.bytes();
  }
  const std::size_t tasks = bytes < kInlineBytes ? 1 : threads * kTasksPerThread;
  const std::size_t size = std::max<std::size_t>(1, (total + tasks - 1) / tasks);
  std::vector<Strip> strips;
  for (const LinearPart& part : parts) {
    const std::size_t groups = group_count(part.weight);
    for (std::size_t first = 0; first < groups; first += size)
      strips.push_back({&part, first, std::min(groups, first + size)});
  }
  return strips;
}

void add_bias(const LinearPart& part, std::size_t first_row, std::size_t last_row) {
  const float* bias = host_floats(part.bias);
  float* output = host_floats(part.output);
  for (std::size_t m = 0; m < part.output.rows; ++m)
    for (std::size_t n = first_row; n < last_row; ++n)
      output[m * part.output.stride + n] += bias[n];
}

// first: where in `projected` the part's adapters begin.
void add_adapters(const LinearPart& part, const Projected& projected, std::size_t first,
                  std::size_t first_group, std::size_t last_group, CpuContext& context) {
  for (std::size_t i = 0; i < part.adapters.size(); ++i) {
    const LowRank& adapter = part.adapters[i];
    if (i + 1 < part.adapters.size()) prefetch(part.adapters[i + 1].b, first_group, last_group);
    const FloatRows h{projected.values.data() + projected.first[first++], adapter.count,
                      adapter.a.rows};
    const ProductOutput target{host_floats(part.output) + adapter.first * part.output.stride,
                               part.output.stride, true};
    products(adapter.b, context.isa)
        .exact(packed_matrix(adapter.b), h, first_group, last_group, target);
  }
}

}  // namespace

std::size_t QuantizedScratch::bytes(std::size_t rows, std::size_t columns) {
  return aligned(rows * columns) + aligned(rows * (columns / kBlock + 1) * sizeof(float)) +
         aligned(rows * (columns / kSums + 1) * sizeof(std::int32_t));
}

void Linear::check() const {
  require(input.stride == input.columns, kName, "the input's rows are not contiguous");
  require(!parts.empty(), kName, "no weights");
  require(scratch.buffer == nullptr ||
              QuantizedScratch::bytes(input.rows * (refined ? 2 : 1), input.columns) <=
                  QuantizedScratch::bytes(scratch.rows, scratch.columns),
          kName, "the scratch is too small");
  for (const LinearPart& part : parts) {
    require(part.weight.encoding != nullptr && part.weight.columns == input.columns, kName,
            "a weight does not fit the input");
    require(part.output.rows == input.rows && part.output.columns == part.weight.rows, kName,
            "an output does not fit its weight");
    require(!part.bias || part.bias.columns == part.weight.rows, kName, "a bias does not fit");
    for (const LowRank& adapter : part.adapters)
      require(adapter.a.encoding != nullptr && adapter.b.encoding != nullptr &&
                  adapter.first + adapter.count <= input.rows &&
                  adapter.a.columns == input.columns && adapter.b.rows == part.weight.rows &&
                  adapter.b.columns == adapter.a.rows,
              kName, "an adapter does not fit");
  }
}

Cost Linear::cost() const {
  Cost cost{input.bytes(), 0, 0};
  for (const LinearPart& part : parts) {
    cost.read_bytes += part.weight.bytes();
    cost.written_bytes += part.output.rows * part.output.columns * sizeof(float);
    cost.multiply_adds += (refined ? 2.0 : 1.0) * static_cast<double>(input.rows) *
                          static_cast<double>(part.weight.rows) *
                          static_cast<double>(part.weight.columns);
    for (const LowRank& adapter : part.adapters) {
      cost.read_bytes += adapter.a.bytes() + adapter.b.bytes();
      cost.multiply_adds += static_cast<double>(adapter.count) *
                            static_cast<double>(adapter.a.rows) *
                            static_cast<double>(adapter.a.columns + adapter.b.rows);
    }
  }
  return cost;
}

void Linear::compute(CpuContext& context) const {
  if (input.rows == 0) return;
  const bool any_quantized = std::any_of(parts.begin(), parts.end(), [&](const LinearPart& part) {
    return is_quantized(part, precision, context.isa);
  });
  QuantizedInput quantized{};
  if (any_quantized) quantized = quantize(*this, context);
  const FloatRows floats{host_floats(input), input.rows, input.columns};
  const auto projected = project_down(*this, context);

  const auto strips = split(parts, context.pool.threads());
  context.pool.run(strips.size(), [&](std::size_t index) {
    const auto& [part, first, last] = strips[index];
    const Products& kernels = products(part->weight, context.isa);
    ProductOutput target{host_floats(part->output), part->output.stride, part->add};
    if (!part->adapters.empty()) prefetch(part->adapters.front().b, first, last);
    if (is_quantized(*part, precision, context.isa)) {
      kernels.quantized(packed_matrix(part->weight), quantized.first, first, last, target);
      target.add = true;
      // The strip's weights are still in the cache.
      if (refined)
        kernels.quantized(packed_matrix(part->weight), quantized.rest, first, last, target);
    } else {
      kernels.exact(packed_matrix(part->weight), floats, first, last, target);
    }
    const std::size_t first_row = first * kGroupRows;
    const std::size_t last_row = std::min(part->weight.rows, last * kGroupRows);
    if (part->bias) add_bias(*part, first_row, last_row);
    if (!part->adapters.empty()) {
      std::size_t before = 0;
      for (const LinearPart* other = parts.data(); other != part; ++other)
        before += other->adapters.size();
      add_adapters(*part, projected, before, first, last, context);
    }
  });
}

void LinearBackward::check() const {
  require(weight.encoding != nullptr && output_gradient.columns == weight.rows &&
              input_gradient.columns == weight.columns &&
              output_gradient.rows == input_gradient.rows,
          kName, "shapes differ");
  require(output_gradient.stride == output_gradient.columns, kName, "rows are not contiguous");
}

Cost LinearBackward::cost() const {
  return {output_gradient.bytes() + weight.bytes() + input_gradient.bytes(), input_gradient.bytes(),
          static_cast<double>(output_gradient.rows) * static_cast<double>(weight.rows) *
              static_cast<double>(weight.columns)};
}

void LinearBackward::compute(CpuContext& context) const {
  const FloatRows gradient{host_floats(output_gradient), output_gradient.rows,
                           output_gradient.columns};
  const ProductOutput target{host_floats(input_gradient), input_gradient.stride, add};
  const std::size_t blocks = (weight.columns + kBlock - 1) / kBlock;
  const std::size_t tasks = std::min<std::size_t>(blocks, context.pool.threads() * kTasksPerThread);
  context.pool.run(tasks, [&](std::size_t task) {
    const std::size_t first = blocks * task / tasks * kBlock;
    const std::size_t last = std::min(weight.columns, blocks * (task + 1) / tasks * kBlock);
    products(weight, context.isa).transposed(packed_matrix(weight), gradient, first, last, target);
  });
}

}  // namespace malina::math
