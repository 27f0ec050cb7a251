// The forward and the backward pass of training, for every family: whole texts in, hidden states
// out, gradients back: of a low-rank adapter, where the base model stays as it is in its own
// encoding, or of all weights of a model that is in float32.
//
// Texts stand one behind the other in one batch of rows, without padding; none sees another, but
// for a prefix that several share, which is computed once in both directions. Keys and values are
// float32, weights are decoded to float32: the arithmetic of `--exact`.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "math/device.h"
#include "math/ops/experts.h"
#include "math/ops/linear.h"
#include "math/ops/packed_attention.h"
#include "model/model.h"
#include "model/trainable_adapter.h"
#include "model/trainable_weights.h"
#include "model/transposed_weights.h"

namespace malina::model {

struct TrainingText {
  std::span<const std::int32_t> tokens;  // at least one
  // Index of an earlier text without a prefix, which this one continues.
  std::size_t prefix = math::AttentionSpan::kNone;
};

struct TrainingPassOptions {
  std::size_t max_rows = 512;   // tokens of one batch
  std::size_t max_outputs = 0;  // wanted rows of one batch; 0: as many as rows
  std::size_t rank = 0;         // of the adapter; 0: none is trained
  // Keeps each layer's input alone and computes the rest of it again on the way back: about a third
  // more time for a fraction of the memory.
  bool recompute = false;
  // fast: activations in 8 bits on the way forward, as answers are computed by default, and
  // gradients in 8 bits on the way back, against weights that are turned once
  // (transposed_weights.h).
  math::Precision precision = math::Precision::exact;
};

// Owns the activations of one batch. One thread. Results are the same bits for any number of
// threads.
class TrainingPass {
 public:
  TrainingPass(std::shared_ptr<const Model> model, math::Device& device,
               const TrainingPassOptions& options);
  ~TrainingPass();

  // Hidden states of the wanted rows (indices into the texts' tokens, ascending), after the last
  // norm: [wanted, width], valid until the next call. Throws base::Error(invalid_argument): an
  // empty text, a token outside of the vocabulary, more rows than max_rows, a text longer than the
  // model's context.
  math::Slice forward(std::span<const TrainingText> texts, const TrainableAdapter* adapter,
                      std::span<const std::size_t> wanted);
  // Adds to the gradients of the adapter of the last forward(), which must have had one.
  // gradient: [wanted, width], of the hidden states; the pass may write into it. Once per
  // forward().
  void backward(const math::Slice& gradient, TrainableAdapter& adapter);
  // The same for the gradients of this pass's own model, all but those of what the caller computes
  // from hidden states: its output matrix and that one's bias. The last forward() had no adapter;
  // precision is exact.
  void backward(const math::Slice& gradient, TrainableWeights& weights);

  const Model& model() const { return *model_; }
  math::Device& device() { return device_; }
  std::size_t max_rows() const { return options_.max_rows; }
  std::size_t scratch_bytes() const { return buffer_->bytes(); }

 private:
  // What one layer keeps for the way back. [rows, ...] each; absent where the family has none.
  struct Kept {
    math::Slice query, key, value, attended, middle, gate, up;
    math::Slice raw_query, raw_key;             // before their norms
    math::Slice attention_part, hidden_part;    // before their post-norms
    std::array<math::Slice, kProjections> low;  // input * A^T
    std::vector<math::ExpertChoice> choices;
  };
  struct Batch;

  void allocate();
  void lay_out(std::size_t& offset);
  math::Slice slice(std::size_t& offset, std::size_t rows, std::size_t columns);
  Kept kept(std::size_t& offset);
  void begin(std::span<const TrainingText> texts, const TrainableAdapter* adapter);
  void check(std::span<const TrainingText> texts) const;

  Kept& activations(std::size_t layer) { return kept_[options_.recompute ? 0 : layer]; }
  math::Slice input_of(std::size_t layer) { return of(inputs_[layer]); }
  math::Slice of(const math::Slice& scratch) const;

  // Forward. `hidden` is the layer's input and becomes its output, in inputs_[layer + 1].
  void run_layer(std::size_t layer);
  void attention(std::size_t layer);
  void feed_forward(std::size_t layer);
  void experts(std::size_t layer);
  void run_expert(const LayerWeights::Expert& expert, std::span<const std::size_t> rows);
  void norm(const math::Slice& input, const math::Slice& weight, const math::Slice& bias,
            const math::Slice& output);
  void turn(std::size_t layer, const math::Slice& heads, bool back);
  void head_norm(const math::Slice& raw, const math::Slice& weight, const math::Slice& output);
  void linear(const math::Slice& input, const math::Slice& weight, const math::Slice& bias,
              const math::Slice& output, std::size_t layer, Projection projection);
  void add_part(const math::Slice& residual, const math::Slice& part, const math::Slice& post_norm,
                const math::Slice& output);
  void copy(const math::Slice& input, const math::Slice& output);

  // Backward (training_backward.cpp).
  void run_back(const math::Slice& gradient);
  void layer_backward(std::size_t layer);
  void attention_backward(std::size_t layer);
  void feed_forward_backward(std::size_t layer);
  void experts_backward(std::size_t layer);
  void norm_backward(const math::Slice& input, const math::Slice& weight, const math::Slice& bias,
                     const math::Slice& output_gradient, const math::Slice& input_gradient);
  void learn_norm(const math::Slice& input, const math::Slice& weight, const math::Slice& bias,
                  const math::Slice& output_gradient);
  void learn_linear(const math::Slice& input, const math::Slice& weight, const math::Slice& bias,
                    const math::Slice& output_gradient);
  math::Slice head_norm_backward(const math::Slice& raw, const math::Slice& weight,
                                 const math::Slice& gradient, const math::Slice& result);
  math::Slice part_gradient(const math::Slice& part, const math::Slice& post_norm);
  void weight_backward(const math::Slice& weight, const math::Slice& output_gradient,
                       const math::Slice& input_gradient, std::size_t layer, Projection projection);
  void linear_backward(const math::Slice& input, const math::Slice& weight, const math::Slice& bias,
                       const math::Slice& output_gradient, const math::Slice& input_gradient,
                       std::size_t layer, Projection projection);

  std::shared_ptr<const Model> model_;
  math::Device& device_;
  TrainingPassOptions options_;
  std::unique_ptr<const TransposedWeights> transposed_;  // of the fast way back; made by the first
  std::unique_ptr<math::Buffer> buffer_;
  std::unique_ptr<Batch> batch_;

  std::vector<math::Slice> inputs_;  // of each layer, and after the last
  std::vector<Kept> kept_;
  std::vector<math::Slice> angles_;  // by kind of layer
  math::Slice normed_, product_, outputs_, gathered_, gathered_gradient_;
  math::Slice gradient_, normed_gradient_, wide_gradient_, part_gradient_;
  math::Slice query_gradient_, key_gradient_, value_gradient_, head_gradient_;
  math::Slice turned_a_, turned_b_, low_gradient_;
  math::Slice router_scores_, picked_, picked_gradient_, given_, given_gradient_, expert_gate_,
      expert_up_;
  math::QuantizedScratch quantized_;
};

}  // namespace malina::model
