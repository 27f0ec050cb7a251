// The forward pass of every family: rows of any number of sequences in, logits out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "math/device.h"
#include "math/ops/attention.h"
#include "math/ops/experts.h"
#include "math/ops/linear.h"
#include "model/adapter.h"
#include "model/kv_cache.h"
#include "model/model.h"

namespace malina::model {

enum class Wants { nothing, logits, hidden };

// One token to append to a sequence. Rows of one sequence stand in order; each takes the sequence's
// next position.
struct Row {
  std::int32_t token;
  Sequence* sequence;
  Wants wants = Wants::nothing;
  // Forks of `sequence` that append this token as well, without computing it again: they stand at
  // the same position, behind the same tokens. So a whole tree of forks is computed in one batch.
  std::span<Sequence* const> heirs = {};
};

struct TransformerOptions {
  math::Precision precision = math::Precision::fast;
  std::size_t max_rows =
      0;  // of one forward(); 0: as many as 32 MiB of activations allow, up to 512
  std::size_t context = 0;  // the highest position + 1 that will occur; 0: the model's
};

// What comes back, in blocks of consecutive results: rows[i] is the index (in the batch) of the row
// that line i of `values` belongs to. The slice is valid during the call only.
struct Output {
  std::span<const std::size_t> rows;
  math::Slice values;  // float [rows, vocab] or [rows, width]
};
using OutputSink = std::function<void(const Output&)>;

// Owns the activations of one batch. One thread. A sequence's results are the same bits whatever
// else is in the batch, however its tokens are cut into batches and whatever the number of threads.
class Transformer {
 public:
  Transformer(std::shared_ptr<const Model> model, math::Device& device,
              const TransformerOptions& options = {});

  // Appends the rows to their sequences and passes on what they want: logits first, then hidden
  // states (after the last norm), each in row order. Throws base::Error before anything was
  // changed: invalid_argument (a token outside of the vocabulary, more than max_rows rows, a
  // position beyond the context), out_of_memory (not enough free pages), internal (an heir that
  // stands elsewhere than its row).
  void forward(std::span<const Row> rows, const OutputSink& logits, const OutputSink& hidden = {});

  std::size_t max_rows() const { return max_rows_; }
  std::size_t context() const { return context_; }
  const Model& model() const { return *model_; }
  math::Device& device() { return device_; }
  std::size_t scratch_bytes() const;

 private:
  struct Batch;

  void allocate_scratch();
  math::Slice scratch(std::size_t& offset, std::size_t rows, std::size_t columns);
  void check(std::span<const Row> rows) const;
  void begin(Batch& batch);
  void norm(const math::Slice& input, const math::Slice& weight, const math::Slice& bias,
            const math::Slice& output);
  void run_layer(std::size_t index, Batch& batch);
  void attention(std::size_t index, Batch& batch);
  void turn(std::size_t index, const math::Slice& query, const math::Slice& key, Batch& batch);
  void feed_forward(std::size_t index, Batch& batch);
  void experts(std::size_t index, Batch& batch);
  void run_expert(const LayerWeights::Expert& expert, std::span<const std::size_t> rows,
                  std::span<const float> weights, Batch& batch);
  // hidden += what `part` gives of `input`, normalised first where the family does that.
  void add_to_hidden(const math::Slice& input, math::LinearPart part, const math::Slice& post_norm,
                     std::size_t layer, Projection projection, Batch& batch);
  void linear(const math::Slice& input, std::span<math::LinearPart> parts, std::size_t layer,
              std::span<const Projection> projections, const Batch& batch, bool refined = false);
  void emit(const Batch& batch, Wants wanted, const OutputSink& sink);

  std::shared_ptr<const Model> model_;
  math::Device& device_;
  math::Precision precision_;
  std::size_t max_rows_, context_, output_rows_;
  std::unique_ptr<math::Buffer> buffer_;
  math::Slice hidden_, normed_, query_, key_, value_, attended_, gate_, up_, partials_;
  std::vector<math::Slice> angles_;      // by kind of layer
  math::Slice added_;                    // what is normalised before it is added; absent in most
  math::Slice scores_, picked_, given_;  // of experts: router, their input, what they give
  std::vector<math::ExpertChoice> choices_;
  math::Slice logits_;
  math::QuantizedScratch quantized_;
};

}  // namespace malina::model
