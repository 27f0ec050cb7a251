#include "model/training_pass.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "base/error.h"
#include "math/ops/add_rows.h"
#include "math/ops/copy_rows.h"
#include "math/ops/embed_rows.h"
#include "math/ops/gated_unit.h"
#include "math/ops/layer_norm.h"
#include "math/ops/matrix_product.h"
#include "math/ops/rms_norm.h"
#include "math/ops/rotary.h"
#include "model/training_batch.h"

namespace malina::model {

using base::Error;
using base::Fault;
using math::Slice;

namespace {

std::size_t aligned(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

std::size_t widest(const Sizes& sizes) {
  return std::max({sizes.width, sizes.hidden, sizes.heads * sizes.head_width});
}

}  // namespace

TrainingPass::TrainingPass(std::shared_ptr<const Model> model, math::Device& device,
                           const TrainingPassOptions& options)
    : model_(std::move(model)),
      device_(device),
      options_(options),
      batch_(std::make_unique<Batch>()) {
  if (options_.max_outputs == 0) options_.max_outputs = options_.max_rows;
  allocate();
}

TrainingPass::~TrainingPass() = default;

Slice TrainingPass::slice(std::size_t& offset, std::size_t rows, std::size_t columns) {
  const Slice result{buffer_.get(), offset, rows, columns, columns, nullptr};
  offset += aligned(rows * columns * sizeof(float));
  return result;
}

TrainingPass::Kept TrainingPass::kept(std::size_t& offset) {
  const Sizes& sizes = model_->sizes();
  const Architecture& architecture = model_->architecture();
  const std::size_t rows = options_.max_rows;
  const std::size_t query = sizes.heads * sizes.head_width;
  const std::size_t key = sizes.kv_heads * sizes.head_width;
  Kept result;
  result.query = slice(offset, rows, query);
  result.key = slice(offset, rows, key);
  result.value = slice(offset, rows, key);
  result.attended = slice(offset, rows, query);
  result.middle = slice(offset, rows, sizes.width);
  if (sizes.experts == 0) {
    result.up = slice(offset, rows, sizes.hidden);
    if (architecture.feed_forward.gated) result.gate = slice(offset, rows, sizes.hidden);
  }
  if (architecture.attention.query_key_norms) {
    result.raw_query = slice(offset, rows, query);
    result.raw_key = slice(offset, rows, key);
  }
  if (architecture.post_norms) {
    result.attention_part = slice(offset, rows, sizes.width);
    result.hidden_part = slice(offset, rows, sizes.width);
  }
  if (options_.rank > 0)
    for (Slice& low : result.low) low = slice(offset, rows, options_.rank);
  return result;
}

void TrainingPass::lay_out(std::size_t& offset) {
  const Sizes& sizes = model_->sizes();
  const std::size_t rows = options_.max_rows;
  const std::size_t query = sizes.heads * sizes.head_width;
  const std::size_t key = sizes.kv_heads * sizes.head_width;
  inputs_.clear();
  kept_.clear();
  angles_.clear();
  for (std::size_t i = 0; i <= sizes.layers; ++i)
    inputs_.push_back(slice(offset, rows, sizes.width));
  for (std::size_t i = 0; i < (options_.recompute ? 1 : sizes.layers); ++i)
    kept_.push_back(kept(offset));
  for (const LayerKind& kind : sizes.kinds)
    angles_.push_back(slice(offset, rows, 2 * kind.frequencies.size()));
  normed_ = slice(offset, rows, sizes.width);
  product_ = slice(offset, rows, sizes.hidden);
  outputs_ = slice(offset, options_.max_outputs, sizes.width);
  gathered_ = slice(offset, options_.max_outputs, sizes.width);
  gathered_gradient_ = slice(offset, options_.max_outputs, sizes.width);
  for (Slice* gradient : {&gradient_, &normed_gradient_, &part_gradient_})
    *gradient = slice(offset, rows, sizes.width);
  wide_gradient_ = slice(offset, rows, sizes.hidden);
  head_gradient_ = slice(offset, rows, query);
  query_gradient_ = slice(offset, rows, query);
  key_gradient_ = slice(offset, rows, key);
  value_gradient_ = slice(offset, rows, key);
  if (options_.rank > 0) {
    turned_a_ = slice(offset, widest(sizes), options_.rank);
    turned_b_ = slice(offset, options_.rank, widest(sizes));
    low_gradient_ = slice(offset, rows, options_.rank);
  }
  if (sizes.experts > 0) {
    router_scores_ = slice(offset, rows, sizes.experts);
    for (Slice* part : {&picked_, &picked_gradient_, &given_, &given_gradient_})
      *part = slice(offset, rows, sizes.width);
    for (Slice* part : {&expert_gate_, &expert_up_}) *part = slice(offset, rows, sizes.hidden);
  }
  if (options_.precision == math::Precision::fast) {
    quantized_ = {buffer_.get(), offset, 2 * rows, widest(sizes)};
    offset += math::QuantizedScratch::bytes(2 * rows, widest(sizes));
  }
}

void TrainingPass::allocate() {
  std::size_t bytes = 0;
  lay_out(bytes);
  buffer_ = device_.allocate(bytes);
  bytes = 0;
  lay_out(bytes);
}

Slice TrainingPass::of(const Slice& scratch) const {
  return scratch.row_range(0, batch_->tokens.size());
}

void TrainingPass::check(std::span<const TrainingText> texts) const {
  std::size_t rows = 0;
  for (const TrainingText& text : texts) {
    if (text.tokens.empty()) throw Error(Fault::invalid_argument, "a text without tokens");
    for (const std::int32_t token : text.tokens)
      if (token < 0 || static_cast<std::size_t>(token) >= model_->sizes().vocab)
        throw Error(Fault::invalid_argument,
                    fmt::format("token {} is outside of the vocabulary of {}", token,
                                model_->sizes().vocab));
    const std::size_t before =
        text.prefix == math::AttentionSpan::kNone ? 0 : texts[text.prefix].tokens.size();
    if (before + text.tokens.size() > model_->sizes().context)
      throw Error(Fault::invalid_argument,
                  fmt::format("a text of {} tokens, more than the model's context of {}",
                              before + text.tokens.size(), model_->sizes().context));
    rows += text.tokens.size();
  }
  if (rows == 0 || rows > options_.max_rows)
    throw Error(Fault::invalid_argument,
                fmt::format("a batch of {} rows, more than {}", rows, options_.max_rows));
}

void TrainingPass::begin(std::span<const TrainingText> texts, const TrainableAdapter* adapter) {
  const Sizes& sizes = model_->sizes();
  Batch& batch = *batch_;
  batch = {};
  batch.adapter = adapter;
  for (const TrainingText& text : texts) {
    const std::size_t before =
        text.prefix == math::AttentionSpan::kNone ? 0 : texts[text.prefix].tokens.size();
    batch.spans.push_back({batch.tokens.size(), text.tokens.size(), text.prefix});
    for (std::size_t i = 0; i < text.tokens.size(); ++i) {
      batch.tokens.push_back(text.tokens[i]);
      batch.positions.push_back(static_cast<std::uint32_t>(before + i));
      if (sizes.short_context != 0)
        batch.is_long.push_back(before + text.tokens.size() > sizes.short_context ? 1 : 0);
    }
  }
  batch.all.resize(batch.tokens.size());
  std::iota(batch.all.begin(), batch.all.end(), std::size_t{0});
  device_.run(math::EmbedRows{.table = model_->embedding(),
                              .output = of(inputs_[0]),
                              .tokens = batch.tokens,
                              .scale = sizes.embedding_scale});
  for (std::size_t kind = 0; kind < sizes.kinds.size(); ++kind)
    device_.run(math::RotaryAngles{.positions = batch.positions,
                                   .frequencies = sizes.kinds[kind].frequencies,
                                   .output = of(angles_[kind]),
                                   .magnitude = sizes.kinds[kind].magnitude,
                                   .long_frequencies = sizes.kinds[kind].long_frequencies,
                                   .is_long = batch.is_long});
}

Slice TrainingPass::forward(std::span<const TrainingText> texts, const TrainableAdapter* adapter,
                            std::span<const std::size_t> wanted) {
  math::require(adapter == nullptr || adapter->options().rank == options_.rank, "training pass",
                "an adapter of another rank");
  math::require(wanted.size() <= options_.max_outputs, "training pass", "too many wanted rows");
  check(texts);
  begin(texts, adapter);
  for (std::size_t layer = 0; layer < model_->sizes().layers; ++layer) run_layer(layer);
  batch_->wanted.assign(wanted.begin(), wanted.end());
  const Slice gathered = gathered_.row_range(0, wanted.size());
  const Slice outputs = outputs_.row_range(0, wanted.size());
  if (wanted.empty()) return outputs;
  device_.run(
      math::CopyRows{.input = of(inputs_.back()), .output = gathered, .rows = batch_->wanted});
  norm(gathered, model_->final_norm(), model_->final_norm_bias(), outputs);
  batch_->pending = true;
  return outputs;
}

void TrainingPass::norm(const Slice& input, const Slice& weight, const Slice& bias,
                        const Slice& output) {
  const float epsilon = model_->sizes().epsilon;
  if (model_->architecture().norm == Architecture::Norm::rms)
    device_.run(math::RmsNorm{input, weight, output, epsilon});
  else
    device_.run(math::LayerNorm{input, weight, bias, output, epsilon});
}

void TrainingPass::run_layer(std::size_t layer) {
  attention(layer);
  if (model_->layers()[layer].router)
    experts(layer);
  else
    feed_forward(layer);
}

void TrainingPass::attention(std::size_t index) {
  const Sizes& sizes = model_->sizes();
  const LayerWeights& layer = model_->layers()[index];
  Kept& kept = activations(index);
  const bool head_norms = static_cast<bool>(layer.query_norm);
  const Slice query = of(kept.query), key = of(kept.key), value = of(kept.value);
  const Slice raw_query = head_norms ? of(kept.raw_query) : query;
  const Slice raw_key = head_norms ? of(kept.raw_key) : key;
  const Slice normed = of(normed_);
  norm(input_of(index), layer.attention_norm, layer.attention_norm_bias, normed);
  linear(normed, layer.query, layer.query_bias, raw_query, index, Projection::query);
  linear(normed, layer.key, layer.key_bias, raw_key, index, Projection::key);
  linear(normed, layer.value, layer.value_bias, value, index, Projection::value);
  if (head_norms) {
    head_norm(raw_query, layer.query_norm, query);
    head_norm(raw_key, layer.key_norm, key);
  }
  turn(index, query, false);
  turn(index, key, false);
  device_.run(math::PackedAttention{.query = query,
                                    .key = key,
                                    .value = value,
                                    .output = of(kept.attended),
                                    .spans = batch_->spans,
                                    .heads = sizes.heads,
                                    .head_width = sizes.head_width,
                                    .scale = sizes.attention_scale,
                                    .window = sizes.kind_of(index).window});
  const Slice part = layer.attention_post_norm ? of(kept.attention_part) : of(part_gradient_);
  linear(of(kept.attended), layer.output, layer.output_bias, part, index, Projection::output);
  add_part(input_of(index), part, layer.attention_post_norm, of(kept.middle));
}

void TrainingPass::head_norm(const Slice& raw, const Slice& weight, const Slice& output) {
  const std::size_t width = model_->sizes().head_width;
  device_.run(math::RmsNorm{raw.split_columns(width), weight, output.split_columns(width),
                            model_->sizes().epsilon});
}

void TrainingPass::turn(std::size_t layer, const Slice& heads, bool back) {
  const Sizes& sizes = model_->sizes();
  device_.run(math::Rotate{heads, of(angles_[sizes.places[layer].kind]), sizes.head_width,
                           model_->architecture().attention.rotary, back});
}

void TrainingPass::copy(const Slice& input, const Slice& output) {
  device_.run(math::CopyRows{.input = input, .output = output, .rows = batch_->all});
}

// output = residual + part, the part normalised first where the family does that.
void TrainingPass::add_part(const Slice& residual, const Slice& part, const Slice& post_norm,
                            const Slice& output) {
  if (!post_norm) {
    copy(residual, output);
    device_.run(math::AddRows{part, output});
    return;
  }
  norm(part, post_norm, {}, output);
  device_.run(math::AddRows{residual, output});
}

void TrainingPass::feed_forward(std::size_t index) {
  const LayerWeights& layer = model_->layers()[index];
  Kept& kept = activations(index);
  const auto activation = model_->architecture().feed_forward.gate;
  const Slice normed = of(normed_), up = of(kept.up), product = of(product_);
  if (!model_->architecture().parallel)
    norm(of(kept.middle), layer.feed_forward_norm, layer.feed_forward_norm_bias, normed);
  linear(normed, layer.up, layer.up_bias, up, index, Projection::up);
  if (layer.gate) {
    linear(normed, layer.gate, {}, of(kept.gate), index, Projection::gate);
    device_.run(math::GatedUnit{of(kept.gate), up, product, activation});
  } else {
    device_.run(math::GatedUnit{up, {}, product, activation});
  }
  const Slice part = layer.feed_forward_post_norm ? of(kept.hidden_part) : of(part_gradient_);
  linear(product, layer.down, layer.down_bias, part, index, Projection::down);
  add_part(of(kept.middle), part, layer.feed_forward_post_norm, input_of(index + 1));
}

void TrainingPass::linear(const Slice& input, const Slice& weight, const Slice& bias,
                          const Slice& output, std::size_t layer, Projection projection) {
  const std::array parts{math::LinearPart{.weight = weight, .bias = bias, .output = output}};
  device_.run(math::Linear{
      .input = input, .parts = parts, .scratch = quantized_, .precision = options_.precision});
  if (batch_->adapter == nullptr) return;
  const TrainableAdapter::Pair& pair = batch_->adapter->pair(layer, projection);
  if (!pair.a) return;
  // input A^T B^T, each factor with its right-hand side as rows.
  const Slice low = of(activations(layer).low[static_cast<std::size_t>(projection)]);
  const Slice a = turned_a_.row_range(0, weight.columns);
  const Slice b = turned_b_.column_range(0, weight.rows);
  device_.run(math::Transpose{pair.a, a});
  device_.run(math::MatrixProduct{.left = input, .right = a, .output = low});
  device_.run(math::Transpose{pair.b, b});
  device_.run(math::MatrixProduct{
      .left = low, .right = b, .output = output, .add = true, .scale = batch_->adapter->scale()});
}

// As Transformer::experts; a row's experts add up in the order of their index.
void TrainingPass::experts(std::size_t index) {
  const Sizes& sizes = model_->sizes();
  const LayerWeights& layer = model_->layers()[index];
  Kept& kept = activations(index);
  const Slice normed = of(normed_), output = input_of(index + 1);
  norm(of(kept.middle), layer.feed_forward_norm, layer.feed_forward_norm_bias, normed);
  const std::array router{
      math::LinearPart{.weight = layer.router, .bias = {}, .output = of(router_scores_)}};
  device_.run(math::Linear{.input = normed,
                           .parts = router,
                           .scratch = quantized_,
                           .precision = options_.precision,
                           .refined = true});
  kept.choices.resize(batch_->tokens.size() * sizes.experts_used);
  for (std::size_t i = 0; i < kept.choices.size(); ++i)  // a planning device leaves this as it is
    kept.choices[i] = {static_cast<std::uint32_t>(i % sizes.experts), 1};
  device_.run(math::ChooseExperts{of(router_scores_), sizes.experts_used, kept.choices});
  copy(of(kept.middle), output);
  for (std::uint32_t expert = 0; expert < sizes.experts; ++expert) {
    const ExpertRows chosen = rows_of_expert(kept.choices, sizes.experts_used, expert);
    if (chosen.rows.empty()) continue;
    run_expert(layer.experts[expert], chosen.rows);
    device_.run(math::AddWeightedRows{given_.row_range(0, chosen.rows.size()), output, chosen.rows,
                                      chosen.weights});
  }
}

// Leaves the expert's input in picked_, gate and up in theirs, what it gives in given_.
void TrainingPass::run_expert(const LayerWeights::Expert& expert,
                              std::span<const std::size_t> rows) {
  const auto first = [&](const Slice& scratch) { return scratch.row_range(0, rows.size()); };
  device_.run(math::CopyRows{.input = of(normed_), .output = first(picked_), .rows = rows});
  const auto product = [&](const Slice& input, const Slice& weight, const Slice& output) {
    const std::array parts{math::LinearPart{.weight = weight, .bias = {}, .output = output}};
    device_.run(math::Linear{
        .input = input, .parts = parts, .scratch = quantized_, .precision = options_.precision});
  };
  product(first(picked_), expert.gate, first(expert_gate_));
  product(first(picked_), expert.up, first(expert_up_));
  device_.run(math::GatedUnit{first(expert_gate_), first(expert_up_), first(product_),
                              model_->architecture().feed_forward.gate});
  product(first(product_), expert.down, first(given_));
}

}  // namespace malina::model
