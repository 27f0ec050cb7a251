// The way back through a layer: from the gradient of its output to that of its input, and what it
// means for the adapter's matrices or for the weights.
#include <array>

#include "math/ops/add_rows.h"
#include "math/ops/fill_rows.h"
#include "math/ops/gated_unit.h"
#include "math/ops/layer_norm.h"
#include "math/ops/matrix_product.h"
#include "math/ops/rms_norm.h"
#include "math/ops/weight_gradients.h"
#include "model/training_batch.h"

namespace malina::model {

using math::Slice;

void TrainingPass::backward(const Slice& gradient, TrainableAdapter& adapter) {
  math::require(batch_->adapter == &adapter, "training pass", "a gradient of another adapter");
  batch_->learned_adapter = &adapter;
  if (options_.precision == math::Precision::fast && transposed_ == nullptr)
    transposed_ = std::make_unique<const TransposedWeights>(*model_, device_);
  run_back(gradient);
}

void TrainingPass::backward(const Slice& gradient, TrainableWeights& weights) {
  math::require(batch_->adapter == nullptr && &weights.model() == model_.get() &&
                    options_.precision == math::Precision::exact,
                "training pass", "weights of another model, or a pass that is not exact");
  batch_->learned_weights = &weights;
  run_back(gradient);
  device_.run(math::EmbedRowsGradient{.output_gradient = of(gradient_),
                                      .gradient = weights.gradient(model_->embedding()),
                                      .tokens = batch_->tokens,
                                      .scale = model_->sizes().embedding_scale});
}

void TrainingPass::run_back(const Slice& gradient) {
  math::require(batch_->pending && gradient.rows == batch_->wanted.size(), "training pass",
                "a gradient of another forward pass");
  batch_->pending = false;  // gate and up are overwritten: there is no second time
  const std::size_t wanted = batch_->wanted.size();
  const Slice gathered = gathered_gradient_.row_range(0, wanted);
  device_.run(math::FillRows{gathered});
  norm_backward(gathered_.row_range(0, wanted), model_->final_norm(), model_->final_norm_bias(),
                gradient, gathered);
  device_.run(math::FillRows{of(gradient_)});
  const std::vector<float> ones(wanted, 1.0F);
  device_.run(math::AddWeightedRows{gathered, of(gradient_), batch_->wanted, ones});
  for (std::size_t layer = model_->sizes().layers; layer-- > 0;) {
    // The last layer's activations are still there.
    if (options_.recompute && layer + 1 < model_->sizes().layers) run_layer(layer);
    layer_backward(layer);
  }
}

void TrainingPass::norm_backward(const Slice& input, const Slice& weight, const Slice& bias,
                                 const Slice& output_gradient, const Slice& input_gradient) {
  const float epsilon = model_->sizes().epsilon;
  learn_norm(input, weight, bias, output_gradient);
  if (model_->architecture().norm == Architecture::Norm::rms)
    device_.run(math::RmsNormBackward{input, weight, output_gradient, input_gradient, epsilon});
  else
    device_.run(math::LayerNormBackward{input, weight, output_gradient, input_gradient, epsilon});
}

void TrainingPass::learn_norm(const Slice& input, const Slice& weight, const Slice& bias,
                              const Slice& output_gradient) {
  if (batch_->learned_weights == nullptr) return;
  const float epsilon = model_->sizes().epsilon;
  const Slice gradient = batch_->learned_weights->gradient(weight);
  if (model_->architecture().norm == Architecture::Norm::rms)
    device_.run(math::RmsNormWeightGradient{input, output_gradient, gradient, epsilon});
  else
    device_.run(math::LayerNormWeightGradient{input, output_gradient, gradient, epsilon});
  if (bias)
    device_.run(math::BiasGradient{output_gradient, batch_->learned_weights->gradient(bias)});
}

void TrainingPass::learn_linear(const Slice& input, const Slice& weight, const Slice& bias,
                                const Slice& output_gradient) {
  if (batch_->learned_weights == nullptr) return;
  TrainableWeights& weights = *batch_->learned_weights;
  device_.run(math::LinearWeightGradient{input, output_gradient, weights.gradient(weight)});
  if (bias) device_.run(math::BiasGradient{output_gradient, weights.gradient(bias)});
}

// gradient_ holds the gradient of the layer's output, and then of its input.
void TrainingPass::layer_backward(std::size_t index) {
  const LayerWeights& layer = model_->layers()[index];
  const Kept& kept = activations(index);
  const Slice normed = of(normed_), normed_gradient = of(normed_gradient_);
  if (model_->architecture().parallel) {
    // Both halves read the same norm of the layer's input; what each adds came after it.
    norm(input_of(index), layer.attention_norm, layer.attention_norm_bias, normed);
    device_.run(math::FillRows{normed_gradient});
    feed_forward_backward(index);
    attention_backward(index);
    norm_backward(input_of(index), layer.attention_norm, layer.attention_norm_bias, normed_gradient,
                  of(gradient_));
    return;
  }
  norm(of(kept.middle), layer.feed_forward_norm, layer.feed_forward_norm_bias, normed);
  device_.run(math::FillRows{normed_gradient});
  if (layer.router)
    experts_backward(index);
  else
    feed_forward_backward(index);
  norm_backward(of(kept.middle), layer.feed_forward_norm, layer.feed_forward_norm_bias,
                normed_gradient, of(gradient_));

  norm(input_of(index), layer.attention_norm, layer.attention_norm_bias, normed);
  device_.run(math::FillRows{normed_gradient});
  attention_backward(index);
  norm_backward(input_of(index), layer.attention_norm, layer.attention_norm_bias, normed_gradient,
                of(gradient_));
}

// The gradient of what one half of a layer added: that of the sum, or through its post-norm.
Slice TrainingPass::part_gradient(const Slice& part, const Slice& post_norm) {
  if (!post_norm) return of(gradient_);
  const Slice result = of(part_gradient_);
  device_.run(math::FillRows{result});
  norm_backward(of(part), post_norm, {}, of(gradient_), result);
  return result;
}

void TrainingPass::feed_forward_backward(std::size_t index) {
  const LayerWeights& layer = model_->layers()[index];
  const Kept& kept = activations(index);
  const auto activation = model_->architecture().feed_forward.gate;
  const Slice up = of(kept.up), product = of(product_), product_gradient = of(wide_gradient_);
  const Slice normed = of(normed_), normed_gradient = of(normed_gradient_);
  const Slice part = part_gradient(kept.hidden_part, layer.feed_forward_post_norm);
  device_.run(math::FillRows{product_gradient});
  if (layer.gate) {
    const Slice gate = of(kept.gate);
    device_.run(math::GatedUnit{gate, up, product, activation});
    linear_backward(product, layer.down, layer.down_bias, part, product_gradient, index,
                    Projection::down);
    device_.run(math::GatedUnitBackward{gate, up, product_gradient, gate, up, activation});
    linear_backward(normed, layer.gate, {}, gate, normed_gradient, index, Projection::gate);
  } else {
    device_.run(math::GatedUnit{up, {}, product, activation});
    linear_backward(product, layer.down, layer.down_bias, part, product_gradient, index,
                    Projection::down);
    device_.run(math::GatedUnitBackward{up, {}, product_gradient, up, {}, activation});
  }
  linear_backward(normed, layer.up, layer.up_bias, up, normed_gradient, index, Projection::up);
}

void TrainingPass::attention_backward(std::size_t index) {
  const Sizes& sizes = model_->sizes();
  const LayerWeights& layer = model_->layers()[index];
  const Kept& kept = activations(index);
  const Slice normed = of(normed_), normed_gradient = of(normed_gradient_);
  const Slice attended_gradient = of(head_gradient_);
  const Slice query = of(query_gradient_), key = of(key_gradient_), value = of(value_gradient_);
  const Slice part = part_gradient(kept.attention_part, layer.attention_post_norm);
  device_.run(math::FillRows{attended_gradient});
  linear_backward(of(kept.attended), layer.output, layer.output_bias, part, attended_gradient,
                  index, Projection::output);
  device_.run(math::PackedAttentionBackward{.query = of(kept.query),
                                            .key = of(kept.key),
                                            .value = of(kept.value),
                                            .output_gradient = attended_gradient,
                                            .query_gradient = query,
                                            .key_gradient = key,
                                            .value_gradient = value,
                                            .spans = batch_->spans,
                                            .heads = sizes.heads,
                                            .head_width = sizes.head_width,
                                            .scale = sizes.attention_scale,
                                            .window = sizes.kind_of(index).window});
  turn(index, query, true);
  turn(index, key, true);
  linear_backward(normed, layer.query, layer.query_bias,
                  head_norm_backward(kept.raw_query, layer.query_norm, query, of(kept.query)),
                  normed_gradient, index, Projection::query);
  linear_backward(normed, layer.key, layer.key_bias,
                  head_norm_backward(kept.raw_key, layer.key_norm, key, of(kept.key)),
                  normed_gradient, index, Projection::key);
  linear_backward(normed, layer.value, layer.value_bias, value, normed_gradient, index,
                  Projection::value);
}

// Through the norm of every head where there is one; `result` is memory that is free by now.
Slice TrainingPass::head_norm_backward(const Slice& raw, const Slice& weight, const Slice& gradient,
                                       const Slice& result) {
  if (!weight) return gradient;
  const std::size_t width = model_->sizes().head_width;
  device_.run(math::FillRows{result});
  if (batch_->learned_weights != nullptr)
    device_.run(math::RmsNormWeightGradient{
        of(raw).split_columns(width), gradient.split_columns(width),
        batch_->learned_weights->gradient(weight), model_->sizes().epsilon});
  device_.run(math::RmsNormBackward{of(raw).split_columns(width), weight,
                                    gradient.split_columns(width), result.split_columns(width),
                                    model_->sizes().epsilon});
  return result;
}

void TrainingPass::linear_backward(const Slice& input, const Slice& weight, const Slice& bias,
                                   const Slice& output_gradient, const Slice& input_gradient,
                                   std::size_t layer, Projection projection) {
  weight_backward(weight, output_gradient, input_gradient, layer, projection);
  learn_linear(input, weight, bias, output_gradient);
  if (batch_->learned_adapter == nullptr) return;
  TrainableAdapter& adapter = *batch_->learned_adapter;
  const TrainableAdapter::Pair& pair = adapter.pair(layer, projection);
  if (!pair.a) return;
  const Slice low = of(activations(layer).low[static_cast<std::size_t>(projection)]);
  const Slice low_gradient = of(low_gradient_);
  const float scale = adapter.scale();
  // y += s (x A^T) B^T, so d(x A^T) = s dy B, dB = s dy^T (x A^T), dA = d(x A^T)^T x.
  device_.run(math::MatrixProduct{
      .left = output_gradient, .right = pair.b, .output = low_gradient, .scale = scale});
  device_.run(math::MatrixProduct{.left = output_gradient,
                                  .right = low,
                                  .output = pair.b_gradient,
                                  .left_transposed = true,
                                  .add = true,
                                  .scale = scale});
  device_.run(math::MatrixProduct{.left = low_gradient,
                                  .right = input,
                                  .output = pair.a_gradient,
                                  .left_transposed = true,
                                  .add = true});
  device_.run(math::MatrixProduct{
      .left = low_gradient, .right = pair.a, .output = input_gradient, .add = true});
}

void TrainingPass::weight_backward(const Slice& weight, const Slice& output_gradient,
                                   const Slice& input_gradient, std::size_t layer,
                                   Projection projection) {
  const Slice* turned = transposed_ ? &transposed_->of(layer, projection) : nullptr;
  if (turned == nullptr || !*turned) {
    device_.run(math::LinearBackward{output_gradient, weight, input_gradient});
    return;
  }
  const std::array parts{
      math::LinearPart{.weight = *turned, .bias = {}, .output = input_gradient, .add = true}};
  device_.run(math::Linear{.input = output_gradient,
                           .parts = parts,
                           .scratch = quantized_,
                           .precision = math::Precision::fast});
}

// Each expert is run again for its rows: to keep what all of them computed would take the memory of
// many layers.
void TrainingPass::experts_backward(std::size_t index) {
  const Sizes& sizes = model_->sizes();
  const LayerWeights& layer = model_->layers()[index];
  const Kept& kept = activations(index);
  const auto activation = model_->architecture().feed_forward.gate;
  std::vector<float> weight_gradients(kept.choices.size());
  for (std::uint32_t expert = 0; expert < sizes.experts; ++expert) {
    const ExpertRows chosen = rows_of_expert(kept.choices, sizes.experts_used, expert);
    if (chosen.rows.empty()) continue;
    run_expert(layer.experts[expert], chosen.rows);
    const auto first = [&](const Slice& part) { return part.row_range(0, chosen.rows.size()); };
    std::vector<float> given_weights(chosen.rows.size());
    device_.run(math::AddWeightedRowsBackward{first(given_), of(gradient_), first(given_gradient_),
                                              chosen.rows, chosen.weights, given_weights});
    for (std::size_t i = 0; i < chosen.rows.size(); ++i)
      weight_gradients[chosen.choices[i]] = given_weights[i];
    const LayerWeights::Expert& weights = layer.experts[expert];
    const Slice product = first(wide_gradient_), gate = first(expert_gate_), up = first(expert_up_);
    device_.run(math::LinearBackward{first(given_gradient_), weights.down, product, false});
    device_.run(math::GatedUnitBackward{gate, up, product, gate, up, activation});
    device_.run(math::LinearBackward{gate, weights.gate, first(picked_gradient_), false});
    device_.run(math::LinearBackward{up, weights.up, first(picked_gradient_)});
    const std::vector<float> ones(chosen.rows.size(), 1.0F);
    device_.run(
        math::AddWeightedRows{first(picked_gradient_), of(normed_gradient_), chosen.rows, ones});
  }
  device_.run(math::ChooseExpertsBackward{sizes.experts_used, kept.choices, weight_gradients,
                                          of(router_scores_)});
  device_.run(math::LinearBackward{of(router_scores_), layer.router, of(normed_gradient_)});
}

}  // namespace malina::model
