#include "model/transformer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "base/error.h"
#include "math/ops/add_rows.h"
#include "math/ops/copy_rows.h"
#include "math/ops/embed_rows.h"
#include "math/ops/gated_unit.h"
#include "math/ops/layer_norm.h"
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
  const std::size_t floats = 3 * sizes.width + 2 * sizes.heads * sizes.head_width +
                             2 * sizes.kv_heads * sizes.head_width + 2 * sizes.hidden +
                             sizes.head_width + (sizes.experts > 0 ? 2 * sizes.width : 0);
  return floats * sizeof(float) + 4 * widest(sizes);
}

}  // namespace

struct Transformer::Batch {
  std::span<const Row> rows;
  std::vector<std::int32_t> tokens;
  std::vector<std::uint32_t> positions;
  std::vector<std::uint8_t> is_long;  // by row; empty where no model has two sets of frequencies
  std::array<std::vector<math::KvRow>, kMostLayerKinds> kv;       // by kind of layer
  std::array<std::vector<math::KvCopy>, kMostLayerKinds> copies;  // for the rows' heirs
  PagePool* pool = nullptr;
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
    angles_.clear();
    for (const LayerKind& kind : sizes.kinds)
      angles_.push_back(scratch(offset, max_rows_, 2 * kind.frequencies.size()));
    if (model_->architecture().post_norms) added_ = scratch(offset, max_rows_, sizes.width);
    if (sizes.experts > 0) {
      scores_ = scratch(offset, max_rows_, sizes.experts);
      picked_ = scratch(offset, max_rows_, sizes.width);
      given_ = scratch(offset, max_rows_, sizes.width);
      choices_.resize(max_rows_ * sizes.experts_used);
    }
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
    const std::size_t position = row.sequence->length() + added[row.sequence]++;
    for (const Sequence* heir : row.heirs)
      math::require(heir->length() + added[heir]++ == position, "forward",
                    "an heir stands elsewhere than its row");
  }
  PageCounts pages;
  const PagePool& pool = rows[0].sequence->pool();
  for (const auto& [sequence, count] : added) {
    if (sequence->length() + count > context_)
      throw Error(Fault::invalid_argument, fmt::format("position {} is beyond the context of {}",
                                                       sequence->length() + count - 1, context_));
    math::require(&sequence->pool() == &pool, "forward", "sequences of different page pools");
    pages += sequence->pages_needed(count);
  }
  if (!pages.fits_in(pool.free_pages()))
    throw Error(Fault::out_of_memory,
                fmt::format("the key-value cache has {} free pages and {} are needed",
                            pool.free_pages().total(), pages.total()));
}

void Transformer::forward(std::span<const Row> rows, const OutputSink& logits,
                          const OutputSink& hidden) {
  if (rows.empty()) return;
  check(rows);
  Batch batch;
  batch.rows = rows;
  begin(batch);
  for (std::size_t index = 0; index < model_->sizes().layers; ++index) run_layer(index, batch);
  if (logits) emit(batch, Wants::logits, logits);
  if (hidden) emit(batch, Wants::hidden, hidden);
  for (const Row& row : rows) {
    row.sequence->drop_outside_window();
    for (Sequence* heir : row.heirs) heir->drop_outside_window();
  }
}

// Places, embeddings and angles of all rows.
void Transformer::begin(Batch& batch) {
  const Sizes& sizes = model_->sizes();
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    Sequence& sequence = *batch.rows[i].sequence;
    batch.tokens.push_back(batch.rows[i].token);
    batch.positions.push_back(sequence.extend());
    for (Sequence* heir : batch.rows[i].heirs) heir->extend();
    if (sizes.short_context != 0) batch.is_long.push_back(sequence.long_context ? 1 : 0);
    const Adapter* adapter = sequence.adapter.get();
    if (adapter == nullptr) continue;
    auto& runs = batch.adapted;
    if (!runs.empty() && runs.back().adapter == adapter &&
        runs.back().first + runs.back().count == i)
      ++runs.back().count;
    else
      runs.push_back({adapter, i, 1});
  }
  // Only now are the page tables final: extending may move a sequence's list.
  for (std::size_t kind = 0; kind < sizes.kinds.size(); ++kind)
    for (std::size_t i = 0; i < batch.rows.size(); ++i) {
      batch.kv[kind].push_back(batch.rows[i].sequence->row(batch.positions[i], kind));
      for (const Sequence* heir : batch.rows[i].heirs)
        batch.copies[kind].push_back({i, heir->row(batch.positions[i], kind)});
    }
  batch.pool = &batch.rows[0].sequence->pool();

  device_.run(math::EmbedRows{.table = model_->embedding(),
                              .output = batch.of(hidden_),
                              .tokens = batch.tokens,
                              .scale = sizes.embedding_scale});
  for (std::size_t kind = 0; kind < sizes.kinds.size(); ++kind)
    device_.run(math::RotaryAngles{.positions = batch.positions,
                                   .frequencies = sizes.kinds[kind].frequencies,
                                   .output = batch.of(angles_[kind]),
                                   .magnitude = sizes.kinds[kind].magnitude,
                                   .long_frequencies = sizes.kinds[kind].long_frequencies,
                                   .is_long = batch.is_long});
}

void Transformer::norm(const Slice& input, const Slice& weight, const Slice& bias,
                       const Slice& output) {
  const float epsilon = model_->sizes().epsilon;
  if (model_->architecture().norm == Architecture::Norm::rms)
    device_.run(math::RmsNorm{input, weight, output, epsilon});
  else
    device_.run(math::LayerNorm{input, weight, bias, output, epsilon});
}

void Transformer::run_layer(std::size_t index, Batch& batch) {
  const LayerWeights& layer = model_->layers()[index];
  norm(batch.of(hidden_), layer.attention_norm, layer.attention_norm_bias, batch.of(normed_));
  attention(index, batch);
  if (!model_->architecture().parallel)
    norm(batch.of(hidden_), layer.feed_forward_norm, layer.feed_forward_norm_bias,
         batch.of(normed_));
  if (layer.router)
    experts(index, batch);
  else
    feed_forward(index, batch);
}

void Transformer::attention(std::size_t index, Batch& batch) {
  const Sizes& sizes = model_->sizes();
  const LayerWeights& layer = model_->layers()[index];
  const Slice query = batch.of(query_);
  const Slice key = batch.of(key_);
  const Slice value = batch.of(value_);
  const math::KvPages pages = batch.pool->layer(index);
  const std::size_t kind = sizes.places[index].kind;
  const auto& kv = batch.kv[kind];

  std::array parts{
      math::LinearPart{.weight = layer.query, .bias = layer.query_bias, .output = query},
      math::LinearPart{.weight = layer.key, .bias = layer.key_bias, .output = key},
      math::LinearPart{.weight = layer.value, .bias = layer.value_bias, .output = value}};
  // Errors in queries and keys are amplified by the softmax: 8 bits here cost a third of all tokens
  // on which the default mode and the reference disagree, for a sixth of the products.
  linear(batch.of(normed_), parts, index,
         std::array{Projection::query, Projection::key, Projection::value}, batch, true);
  turn(index, query, key, batch);
  device_.run(math::StoreKeysValues{key, value, kv, pages, batch.copies[kind]});
  device_.run(math::Attention{.query = query,
                              .output = batch.of(attended_),
                              .rows = kv,
                              .pages = pages,
                              .heads = sizes.heads,
                              .scale = sizes.attention_scale,
                              .window = sizes.kind_of(index).window,
                              .partials = partials_});
  add_to_hidden(batch.of(attended_),
                {.weight = layer.output, .bias = layer.output_bias, .output = {}},
                layer.attention_post_norm, index, Projection::output, batch);
}

// Heads are normalised where the family does that, then turned by their position.
void Transformer::turn(std::size_t index, const Slice& query, const Slice& key, Batch& batch) {
  const Sizes& sizes = model_->sizes();
  const LayerWeights& layer = model_->layers()[index];
  const Slice angles = batch.of(angles_[sizes.places[index].kind]);
  for (const auto& [heads, weight] :
       {std::pair{query, layer.query_norm}, std::pair{key, layer.key_norm}}) {
    if (weight) {
      const Slice each = heads.split_columns(sizes.head_width);
      device_.run(math::RmsNorm{each, weight, each, sizes.epsilon});
    }
    device_.run(
        math::Rotate{heads, angles, sizes.head_width, model_->architecture().attention.rotary});
  }
}

void Transformer::add_to_hidden(const Slice& input, math::LinearPart part, const Slice& post_norm,
                                std::size_t layer, Projection projection, Batch& batch) {
  const Slice hidden = batch.of(hidden_);
  part.add = !post_norm;
  part.output = post_norm ? batch.of(added_) : hidden;
  linear(input, std::span(&part, 1), layer, std::array{projection}, batch);
  if (!post_norm) return;
  norm(part.output, post_norm, {}, part.output);
  device_.run(math::AddRows{part.output, hidden});
}

void Transformer::feed_forward(std::size_t index, Batch& batch) {
  const LayerWeights& layer = model_->layers()[index];
  const auto activation = model_->architecture().feed_forward.gate;
  const Slice gate = batch.of(gate_);
  const Slice up = batch.of(up_);
  std::array parts{math::LinearPart{.weight = layer.up, .bias = layer.up_bias, .output = up},
                   math::LinearPart{.weight = layer.gate, .bias = {}, .output = gate}};
  linear(batch.of(normed_), std::span(parts).first(layer.gate ? 2 : 1), index,
         std::array{Projection::up, Projection::gate}, batch);
  if (layer.gate)
    device_.run(math::GatedUnit{gate, up, gate, activation});
  else
    device_.run(math::GatedUnit{up, {}, gate, activation});
  add_to_hidden(gate, {.weight = layer.down, .bias = layer.down_bias, .output = {}},
                layer.feed_forward_post_norm, index, Projection::down, batch);
}

// Rows are grouped by expert, so that each expert that anybody chose is read once. A row's experts
// add up in the order of their index, whatever its company.
void Transformer::experts(std::size_t index, Batch& batch) {
  const Sizes& sizes = model_->sizes();
  const LayerWeights& layer = model_->layers()[index];
  std::array router{
      math::LinearPart{.weight = layer.router, .bias = {}, .output = batch.of(scores_)}};
  // Which expert is chosen hangs on small differences: 16 bits, as for queries and keys.
  device_.run(math::Linear{.input = batch.of(normed_),
                           .parts = router,
                           .scratch = quantized_,
                           .precision = precision_,
                           .refined = true});
  const auto choices = std::span(choices_).first(batch.rows.size() * sizes.experts_used);
  for (std::size_t i = 0; i < choices.size(); ++i)  // a planning device leaves this as it is
    choices[i] = {static_cast<std::uint32_t>(i % sizes.experts), 1};
  device_.run(math::ChooseExperts{batch.of(scores_), sizes.experts_used, choices});
  std::vector<std::size_t> rows;
  std::vector<float> weights;
  for (std::uint32_t expert = 0; expert < sizes.experts; ++expert) {
    rows.clear();
    weights.clear();
    for (std::size_t i = 0; i < choices.size(); ++i) {
      if (choices[i].expert != expert) continue;
      rows.push_back(i / sizes.experts_used);
      weights.push_back(choices[i].weight);
    }
    if (!rows.empty()) run_expert(layer.experts[expert], rows, weights, batch);
  }
}

void Transformer::run_expert(const LayerWeights::Expert& expert, std::span<const std::size_t> rows,
                             std::span<const float> weights, Batch& batch) {
  const Slice input = picked_.row_range(0, rows.size());
  const Slice gate = gate_.row_range(0, rows.size());
  const Slice up = up_.row_range(0, rows.size());
  const Slice given = given_.row_range(0, rows.size());
  device_.run(math::CopyRows{.input = batch.of(normed_), .output = input, .rows = rows});
  const std::array parts{math::LinearPart{.weight = expert.gate, .bias = {}, .output = gate},
                         math::LinearPart{.weight = expert.up, .bias = {}, .output = up}};
  device_.run(
      math::Linear{.input = input, .parts = parts, .scratch = quantized_, .precision = precision_});
  device_.run(math::GatedUnit{gate, up, gate, model_->architecture().feed_forward.gate});
  const std::array down{math::LinearPart{.weight = expert.down, .bias = {}, .output = given}};
  device_.run(
      math::Linear{.input = gate, .parts = down, .scratch = quantized_, .precision = precision_});
  device_.run(math::AddWeightedRows{given, batch.of(hidden_), rows, weights});
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
    norm(normed, model_->final_norm(), model_->final_norm_bias(), normed);
    if (wanted == Wants::hidden) {
      sink({block, normed});
      continue;
    }
    const Slice logits = logits_.row_range(0, count);
    const std::array parts{
        math::LinearPart{.weight = model_->head(), .bias = model_->head_bias(), .output = logits}};
    device_.run(math::Linear{
        .input = normed, .parts = parts, .scratch = quantized_, .precision = precision_});
    sink({block, logits});
  }
}

}  // namespace malina::model
