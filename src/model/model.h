// A model in memory: sizes from the file's metadata, weights packed for the device.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "format/checkpoint.h"
#include "math/device.h"
#include "model/architecture.h"

namespace malina::model {

// Layers with the same window and the same rotary embedding keep keys and values of the same
// positions. Most models have one kind; some have layers with a window and layers without.
inline constexpr std::size_t kMostLayerKinds = 2;
struct LayerKind {
  std::size_t layers = 0;          // how many are of this kind
  std::uint32_t window = 0;        // 0: full attention
  std::vector<float> frequencies;  // rotary, radians a position, after scaling
  // For a sequence longer than Sizes::short_context, where the model has two sets; else empty.
  std::vector<float> long_frequencies;
  float magnitude = 1;
};

struct Sizes {
  std::size_t layers = 0, width = 0, heads = 0, kv_heads = 0, head_width = 0, hidden = 0;
  std::size_t vocab = 0;                      // rows of the embedding; the tokenizer may hold fewer
  std::size_t context = 0;                    // positions the model was trained for
  std::size_t experts = 0, experts_used = 0;  // 0: one feed-forward for all tokens
  float epsilon = 0;
  float attention_scale = 0;  // of scores, before the softmax
  float embedding_scale = 1;
  std::size_t short_context = 0;  // above it LayerKind::long_frequencies hold; 0: there are none
  std::string window_source;      // "the file", "inferred ...", "--window"; empty without a window
  std::string rotary_scaling;     // "none", "linear 4", "llama3", ...
  bool tied = false;              // the output matrix is the embedding

  std::vector<LayerKind> kinds;  // 1 to kMostLayerKinds
  // Of each layer: its kind, and which of that kind it is.
  struct Place {
    std::size_t kind, index;
  };
  std::vector<Place> places;

  const LayerKind& kind_of(std::size_t layer) const { return kinds[places[layer].kind]; }
  std::uint32_t window() const;  // the smallest there is; 0: none
};

struct LayerWeights {
  math::Slice attention_norm, query, key, value, output;
  math::Slice query_bias, key_bias, value_bias, output_bias;  // absent in most
  math::Slice query_norm, key_norm;                           // [1, head_width]
  math::Slice feed_forward_norm, gate, up, down;              // no gate: not gated
  math::Slice up_bias, down_bias;
  math::Slice attention_norm_bias, feed_forward_norm_bias;  // of LayerNorm
  math::Slice attention_post_norm, feed_forward_post_norm;
  math::Slice router;  // [experts, width]; with it come `experts`, without it gate, up and down
  struct Expert {
    math::Slice gate, up, down;
  };
  std::vector<Expert> experts;
};

// A tensor that is no weight: a table that the rotary embedding is computed from, which read_sizes()
// has read, or can be computed itself.
bool is_rotary_table(std::string_view name);

struct LoadOptions {
  std::optional<std::uint32_t> window;  // overrides what the file says or what was inferred
  // Called with the share done, in [0, 1], by one thread at a time. May throw to stop the loading.
  std::function<void(double)> progress;
};

// Immutable, shared; its weights live in one allocation of the device it was loaded to, which must
// outlive it.
class Model {
 public:
  // Reads, checks and packs every tensor. Throws base::Error: unsupported (family, mechanism),
  // corrupt_file (a tensor missing, superfluous or of the wrong shape; the file cut short),
  // out_of_memory (with what is needed and what there is).
  static std::shared_ptr<const Model> load(std::shared_ptr<const format::Checkpoint> checkpoint,
                                           math::Device& device, base::ThreadPool& pool,
                                           const LoadOptions& options = {});
  // The same checks and the same allocation on a planning device; no weight is read.
  static std::shared_ptr<const Model> plan(std::shared_ptr<const format::Checkpoint> checkpoint,
                                           math::PlanningDevice& device,
                                           const LoadOptions& options = {});

  const Architecture& architecture() const { return *identified_.architecture; }
  const std::string& reason() const { return identified_.reason; }
  const Sizes& sizes() const { return sizes_; }
  const std::vector<LayerWeights>& layers() const { return layers_; }
  const math::Slice& embedding() const { return embedding_; }  // packed [vocab, width]
  const math::Slice& head() const { return head_; }            // packed [vocab, width]
  const math::Slice& head_bias() const { return head_bias_; }  // [1, vocab], absent in most
  const math::Slice& final_norm() const { return final_norm_; }
  const math::Slice& final_norm_bias() const { return final_norm_bias_; }
  const format::Checkpoint& checkpoint() const { return *checkpoint_; }
  // Which tensor of the file each packed matrix comes from, the matrices of one tensor in the order
  // of its rows. The slices live in this model.
  struct Matrix {
    const format::TensorInfo* tensor;
    const math::Slice* slice;
  };
  const std::vector<Matrix>& matrices() const { return matrices_; }
  std::size_t weight_bytes() const { return weights_->bytes(); }

 private:
  friend class ModelLoader;
  Model() = default;

  std::shared_ptr<const format::Checkpoint> checkpoint_;
  Identified identified_;
  Sizes sizes_;
  std::unique_ptr<math::Buffer> weights_;
  std::vector<LayerWeights> layers_;
  std::vector<Matrix> matrices_;
  math::Slice embedding_, head_, head_bias_, final_norm_, final_norm_bias_;
};

// Sizes from metadata and the embedding's shape, every number checked.
Sizes read_sizes(const format::Checkpoint& checkpoint, const Architecture& architecture,
                 std::optional<std::uint32_t> window);

}  // namespace malina::model
