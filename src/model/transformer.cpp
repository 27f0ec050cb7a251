#include "model/transformer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "base/error.h"
#include "math/ops/copy_rows.h"
#include "math/ops/embed_rows.h"
#include "math/ops/gated_unit.h"
#include "math/ops/rms_norm.h"
#include "math/ops/rotary.h"

namespace malina::model {

using base::Error;
using base::Fault;
using math::Slice;

namespace {

constexpr std::size_t kAlign = 64;
constexpr std::size_t kActivationBytes = 32 << 20;
constexpr std::size_t kMostRows = 512;
constexpr std::size_t kLogitBytes = 8 << 20;

std::size_t aligned(std::size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

std::size_t widest(const Sizes& sizes) {
  return std::max({sizes.width, sizes.hidden, sizes.heads * sizes.head_width});
}

std::size_t row_bytes(const Sizes& sizes) {
  const std::size_t floats = 2 * sizes.width + 2 * sizes.heads * sizes.head_width +
                             2 * sizes.kv_heads * sizes.head_width + 2 * sizes.hidden +
                             sizes.head_width;
  return floats * sizeof(float) + 4 * widest(sizes);
}

}  // namespace

struct Transformer::Batch {
  std::span<const Row> rows;
  std::vector<std::int32_t> tokens;
  std::vector<std::uint32_t> positions;
  std::vector<math::KvRow> kv;
  PagePool* pool;
  // Runs of rows with the same adapter, where there is one.
  struct Adapted {
    const Adapter* adapter;
    std::size_t first, count;
  };
  std::vector<Adapted> adapted;

  Slice of(const Slice& scratch) const { return scratch.row_range(0, rows.size()); }
};

Transformer::Transformer(std::shared_ptr<const Model> model, math::Device& device,
                         const TransformerOptions& options)
    : model_(std::move(model)), device_(device), precision_(options.precision) {
  const Sizes& sizes = model_->sizes();
  max_rows_ = options.max_rows != 0
                  ? options.max_rows
                  : std::clamp<std::size_t>(kActivationBytes / row_bytes(sizes), 16, kMostRows);
  context_ = options.context != 0 ? options.context : sizes.context;
  output_rows_ = std::clamp<std::size_t>(kLogitBytes / (sizes.vocab * sizeof(float)), 1, max_rows_);
  allocate_scratch();
}

Slice Transformer::scratch(std::size_t& offset, std::size_t rows, std::size_t columns) {
  const std::size_t bytes = aligned(rows * columns * sizeof(float));
  const Slice slice{buffer_.get(), offset, rows, columns, columns, nullptr};
  offset += bytes;
  return slice;
}

void Transformer::allocate_scratch() {
  const Sizes& sizes = model_->sizes();
  const auto lay_out = [&](std::size_t offset) {
    const std::size_t query = sizes.heads * sizes.head_width;
    const std::size_t key = sizes.kv_heads * sizes.head_width;
    hidden_ = scratch(offset, max_rows_, sizes.width);
    normed_ = scratch(offset, max_rows_, sizes.width);
    query_ = scratch(offset, max_rows_, query);
    key_ = scratch(offset, max_rows_, key);
    value_ = scratch(offset, max_rows_, key);
    attended_ = scratch(offset, max_rows_, query);
    gate_ = scratch(offset, max_rows_, sizes.hidden);
    up_ = scratch(offset, max_rows_, sizes.hidden);
    angles_ = scratch(offset, max_rows_, 2 * sizes.frequencies.size());
    partials_ = scratch(
        offset, 1,
        math::Attention::partial_floats(max_rows_, context_, sizes.heads, sizes.head_width));
    logits_ = scratch(offset, output_rows_, sizes.vocab);
    // Twice the rows: refined products keep two terms.
    quantized_ = {buffer_.get(), offset, 2 * max_rows_, widest(sizes)};
    return offset + math::QuantizedScratch::bytes(2 * max_rows_, widest(sizes));
  };
  const std::size_t bytes = lay_out(0);
  buffer_ = device_.allocate(bytes);
  lay_out(0);
}

std::size_t Transformer::scratch_bytes() const { return buffer_->bytes(); }

void Transformer::check(std::span<const Row> rows) const {
  if (rows.size() > max_rows_)
    throw Error(Fault::invalid_argument,
                fmt::format("a batch of {} rows, more than {}", rows.size(), max_rows_));
  std::map<const Sequence*, std::size_t> added;
  for (const Row& row : rows) {
    if (row.token < 0 || static_cast<std::size_t>(row.token) >= model_->sizes().vocab)
      throw Error(Fault::invalid_argument,
                  fmt::format("token {} is outside of the vocabulary of {}", row.token,
                              model_->sizes().vocab));
    ++added[row.sequence];
  }
  std::size_t pages = 0;
  const PagePool& pool = rows[0].sequence->pool();
  for (const auto& [sequence, count] : added) {
    if (sequence->length() + count > context_)
      throw Error(Fault::invalid_argument, fmt::format("position {} is beyond the context of {}",
                                                       sequence->length() + count - 1, context_));
    math::require(&sequence->pool() == &pool, "forward", "sequences of different page pools");
    pages += sequence->pages_needed(count);
  }
  if (pages > pool.free_pages())
    throw Error(Fault::out_of_memory,
                fmt::format("the key-value cache has {} free pages and {} are needed",
                            pool.free_pages(), pages));
}

void Transformer::forward(std::span<const Row> rows, const OutputSink& logits,
                          const OutputSink& hidden) {
  if (rows.empty()) return;
  check(rows);
  Batch batch{
      .rows = rows, .tokens = {}, .positions = {}, .kv = {}, .pool = nullptr, .adapted = {}};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    batch.tokens.push_back(rows[i].token);
    batch.positions.push_back(rows[i].sequence->extend());
    const Adapter* adapter = rows[i].sequence->adapter.get();
    if (adapter == nullptr) continue;
    auto& runs = batch.adapted;
    if (!runs.empty() && runs.back().adapter == adapter &&
        runs.back().first + runs.back().count == i)
      ++runs.back().count;
    else
      runs.push_back({adapter, i, 1});
  }
  // Only now are the page tables final: extending may move a sequence's list.
  for (std::size_t i = 0; i < rows.size(); ++i)
    batch.kv.push_back(rows[i].sequence->row(batch.positions[i]));
  batch.pool = &rows[0].sequence->pool();

  const Sizes& sizes = model_->sizes();
  device_.run(math::EmbedRows{
      .table = model_->embedding(), .output = batch.of(hidden_), .tokens = batch.tokens});
  device_.run(math::RotaryAngles{.positions = batch.positions,
                                 .frequencies = sizes.frequencies,
                                 .output = batch.of(angles_),
                                 .magnitude = sizes.rotary_magnitude});
  for (std::size_t index = 0; index < sizes.layers; ++index) run_layer(index, batch);
  if (logits) emit(batch, Wants::logits, logits);
  if (hidden) emit(batch, Wants::hidden, hidden);
  for (const Row& row : rows) row.sequence->drop_outside_window();
}

void Transformer::run_layer(std::size_t index, Batch& batch) {
  attention(index, batch);
  feed_forward(index, batch);
}

void Transformer::attention(std::size_t index, Batch& batch) {
  const Sizes& sizes = model_->sizes();
  const LayerWeights& layer = model_->layers()[index];
  const Slice hidden = batch.of(hidden_);
  const Slice normed = batch.of(normed_);
  const Slice query = batch.of(query_);
  const Slice key = batch.of(key_);
  const Slice value = batch.of(value_);
  const Slice attended = batch.of(attended_);
  const math::KvPages pages = batch.pool->layer(index);

  device_.run(math::RmsNorm{hidden, layer.attention_norm, normed, sizes.epsilon});
  std::array parts{
      math::LinearPart{.weight = layer.query, .bias = layer.query_bias, .output = query},
      math::LinearPart{.weight = layer.key, .bias = layer.key_bias, .output = key},
      math::LinearPart{.weight = layer.value, .bias = layer.value_bias, .output = value}};
  // Errors in queries and keys are amplified by the softmax: 8 bits here cost a third of all tokens
  // on which the default mode and the reference disagree, for a sixth of the products.
  linear(normed, parts, index, std::array{Projection::query, Projection::key, Projection::value},
         batch, true);
  const auto pairs = model_->architecture().attention.rotary;
  device_.run(math::Rotate{query, batch.of(angles_), sizes.head_width, pairs});
  device_.run(math::Rotate{key, batch.of(angles_), sizes.head_width, pairs});
  device_.run(math::StoreKeysValues{key, value, batch.kv, pages});
  device_.run(math::Attention{.query = query,
                              .output = attended,
                              .rows = batch.kv,
                              .pages = pages,
                              .heads = sizes.heads,
                              .scale = 1.0F / std::sqrt(static_cast<float>(sizes.head_width)),
                              .window = sizes.window,
                              .partials = partials_});
  std::array output{math::LinearPart{
      .weight = layer.output, .bias = layer.output_bias, .output = hidden, .add = true}};
  linear(attended, output, index, std::array{Projection::output}, batch);
}

void Transformer::feed_forward(std::size_t index, Batch& batch) {
  const LayerWeights& layer = model_->layers()[index];
  const Slice hidden = batch.of(hidden_);
  const Slice normed = batch.of(normed_);
  const Slice gate = batch.of(gate_);
  const Slice up = batch.of(up_);
  device_.run(math::RmsNorm{hidden, layer.feed_forward_norm, normed, model_->sizes().epsilon});
  std::array parts{math::LinearPart{.weight = layer.gate, .bias = {}, .output = gate},
                   math::LinearPart{.weight = layer.up, .bias = {}, .output = up}};
  linear(normed, parts, index, std::array{Projection::gate, Projection::up}, batch);
  device_.run(math::GatedUnit{gate, up, gate, model_->architecture().feed_forward.gate});
  std::array down{
      math::LinearPart{.weight = layer.down, .bias = {}, .output = hidden, .add = true}};
  linear(gate, down, index, std::array{Projection::down}, batch);
}

void Transformer::linear(const Slice& input, std::span<math::LinearPart> parts, std::size_t layer,
                         std::span<const Projection> projections, const Batch& batch,
                         bool refined) {
  std::vector<std::vector<math::LowRank>> adapters(batch.adapted.empty() ? 0 : parts.size());
  for (std::size_t i = 0; i < adapters.size(); ++i) {
    for (const auto& run : batch.adapted) {
      const Adapter::Pair& pair = run.adapter->pair(layer, projections[i]);
      if (pair.a) adapters[i].push_back({pair.a, pair.b, pair.scale, run.first, run.count});
    }
    parts[i].adapters = adapters[i];
  }
  device_.run(math::Linear{.input = input,
                           .parts = parts,
                           .scratch = quantized_,
                           .precision = precision_,
                           .refined = refined});
}

void Transformer::emit(const Batch& batch, Wants wanted, const OutputSink& sink) {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < batch.rows.size(); ++i)
    if (batch.rows[i].wants == wanted) indices.push_back(i);
  for (std::size_t first = 0; first < indices.size(); first += output_rows_) {
    const std::size_t count = std::min(output_rows_, indices.size() - first);
    const std::span<const std::size_t> block = std::span(indices).subspan(first, count);
    const Slice normed = normed_.row_range(0, count);
    device_.run(math::CopyRows{.input = batch.of(hidden_), .output = normed, .rows = block});
    device_.run(math::RmsNorm{normed, model_->final_norm(), normed, model_->sizes().epsilon});
    if (wanted == Wants::hidden) {
      sink({block, normed});
      continue;
    }
    const Slice logits = logits_.row_range(0, count);
    const std::array parts{
        math::LinearPart{.weight = model_->head(), .bias = {}, .output = logits}};
    device_.run(math::Linear{
        .input = normed, .parts = parts, .scratch = quantized_, .precision = precision_});
    sink({block, logits});
  }
}

}  // namespace malina::model
