#include "model/model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <set>

#include "base/error.h"
#include "base/machine.h"

namespace malina::model {

using base::Error;
using base::Fault;

namespace {

constexpr std::size_t kAlign = 64;
// Rows are read in pieces of about this size: enough for the disk, small enough for the cache.
constexpr std::size_t kPieceBytes = 256 << 10;
// What a load needs beside the weights: buffers, tables, a short context.
constexpr std::size_t kMargin = 64 << 20;

}  // namespace

bool is_rotary_table(std::string_view name) {
  return name == "rope_freqs.weight" || name == "rope_factors_long.weight" ||
         name == "rope_factors_short.weight" || name.ends_with(".attn_rot_embd") ||
         name.ends_with(".attn_rot_embd.weight") || name.ends_with("rotary_emb.inv_freq");
}

// Lays all tensors out in one buffer, then fills it.
class ModelLoader {
 public:
  ModelLoader(std::shared_ptr<const format::Checkpoint> checkpoint, const LoadOptions& options)
      : model_(new Model), options_(options) {
    model_->checkpoint_ = std::move(checkpoint);
    const auto& metadata = model_->checkpoint_->metadata();
    model_->identified_ = identify(metadata, file());
    model_->sizes_ =
        read_sizes(*model_->checkpoint_, *model_->identified_.architecture, options.window);
    lay_out();
    refuse_superfluous();
  }

  std::size_t bytes() const { return bytes_; }
  void allocate(math::Device& device) {
    model_->weights_ = device.allocate(bytes_);
    for (auto& placed : placed_) placed.target->buffer = model_->weights_.get();
    if (model_->sizes_.tied) model_->head_ = model_->embedding_;
  }
  void fill(base::ThreadPool& pool);
  std::shared_ptr<const Model> take() { return std::move(model_); }

 private:
  // A tensor, or consecutive rows (or values of a vector) of one that holds several.
  struct Part {
    std::string name;
    std::size_t first = 0;  // row of the tensor; of a vector: value
    std::size_t total = 0;  // rows that the tensor has in all; 0: as many as are taken
  };
  struct Placed {
    const format::TensorInfo* tensor;
    math::Slice* target;
    std::size_t first;
  };
  struct Piece {
    const Placed* placed;
    std::size_t first_row, rows;
  };

  std::string file() const { return model_->checkpoint_->files()[0].string(); }
  void lay_out();
  void refuse_superfluous() const;
  bool has(const std::string& name) const { return model_->checkpoint_->find(name) != nullptr; }
  bool place(const Part& part, std::size_t rows, std::size_t columns, math::Slice& target,
             bool optional, bool vector);
  void place_matrix(const Part& part, std::size_t rows, std::size_t columns, math::Slice& target);
  bool place_vector(const Part& part, std::size_t columns, math::Slice& target,
                    bool optional = false);
  void place_attention(std::size_t index, LayerWeights& layer);
  void place_norms(std::size_t index, LayerWeights& layer);
  void place_feed_forward(std::size_t index, LayerWeights& layer);
  void place_experts(std::size_t index, LayerWeights& layer);
  void place_model();
  void fill_piece(const Piece& piece, std::vector<std::byte>& scratch) const;

  std::shared_ptr<Model> model_;
  const LoadOptions& options_;
  std::vector<Placed> placed_;
  std::set<std::string_view> used_;
  std::size_t bytes_ = 0;
};

bool ModelLoader::place(const Part& part, std::size_t rows, std::size_t columns,
                        math::Slice& target, bool optional, bool vector) {
  const auto* tensor = model_->checkpoint_->find(part.name);
  if (tensor == nullptr) {
    if (optional) return false;
    throw Error(Fault::corrupt_file, fmt::format("{}: tensor {} is missing", file(), part.name));
  }
  const std::size_t whole_rows = vector || part.total == 0 ? rows : part.total;
  const std::size_t whole_columns = vector && part.total != 0 ? part.total : columns;
  if (tensor->columns() != whole_columns || tensor->rows() != whole_rows)
    throw Error(Fault::corrupt_file,
                fmt::format("{}: tensor {} has shape [{}], expected [{}, {}]",
                            model_->checkpoint_->files()[tensor->file].string(), part.name,
                            fmt::join(tensor->shape, ", "), whole_columns, whole_rows));
  if (vector && part.total != 0 && tensor->encoding->block_values != 1)
    throw Error(Fault::unsupported, fmt::format("{}: tensor {} is {}, which cannot be cut", file(),
                                                part.name, tensor->encoding->name));
  used_.insert(tensor->name);
  target.rows = rows;
  target.columns = target.stride = columns;
  target.offset = bytes_;
  placed_.push_back({tensor, &target, part.first});
  return true;
}

void ModelLoader::place_matrix(const Part& part, std::size_t rows, std::size_t columns,
                               math::Slice& target) {
  place(part, rows, columns, target, false, false);
  target.encoding = placed_.back().tensor->encoding;
  model_->matrices_.push_back({placed_.back().tensor, &target});
  bytes_ += math::packed_bytes(rows, columns, *target.encoding);
}

bool ModelLoader::place_vector(const Part& part, std::size_t columns, math::Slice& target,
                               bool optional) {
  if (!place(part, 1, columns, target, optional, true)) return false;
  bytes_ += (columns * sizeof(float) + kAlign - 1) / kAlign * kAlign;
  return true;
}

void ModelLoader::place_attention(std::size_t index, LayerWeights& layer) {
  const Sizes& sizes = model_->sizes_;
  const std::size_t query = sizes.heads * sizes.head_width;
  const std::size_t key = sizes.kv_heads * sizes.head_width;
  const auto named = [&](const char* name) { return fmt::format("blk.{}.{}", index, name); };
  // Some families keep queries, keys and values in one matrix, in this order.
  const std::size_t all = has(named("attn_qkv.weight")) ? query + 2 * key : 0;
  const auto part = [&](const char* own, const char* suffix, std::size_t first) {
    return Part{named(all != 0 ? "attn_qkv" : own) + suffix, all != 0 ? first : 0, all};
  };
  place_matrix(part("attn_q", ".weight", 0), query, sizes.width, layer.query);
  place_matrix(part("attn_k", ".weight", query), key, sizes.width, layer.key);
  place_matrix(part("attn_v", ".weight", query + key), key, sizes.width, layer.value);
  place_matrix({named("attn_output.weight")}, sizes.width, query, layer.output);
  place_vector(part("attn_q", ".bias", 0), query, layer.query_bias, true);
  place_vector(part("attn_k", ".bias", query), key, layer.key_bias, true);
  place_vector(part("attn_v", ".bias", query + key), key, layer.value_bias, true);
  place_vector({named("attn_output.bias")}, sizes.width, layer.output_bias, true);
}

void ModelLoader::place_norms(std::size_t index, LayerWeights& layer) {
  const Sizes& sizes = model_->sizes_;
  const Architecture& family = model_->architecture();
  const auto named = [&](const char* name) { return Part{fmt::format("blk.{}.{}", index, name)}; };
  place_vector(named("attn_norm.weight"), sizes.width, layer.attention_norm);
  if (family.norm == Architecture::Norm::layer)
    place_vector(named("attn_norm.bias"), sizes.width, layer.attention_norm_bias, true);
  if (!family.parallel) {
    place_vector(named("ffn_norm.weight"), sizes.width, layer.feed_forward_norm);
    if (family.norm == Architecture::Norm::layer)
      place_vector(named("ffn_norm.bias"), sizes.width, layer.feed_forward_norm_bias, true);
  }
  if (family.attention.query_key_norms) {
    place_vector(named("attn_q_norm.weight"), sizes.head_width, layer.query_norm);
    place_vector(named("attn_k_norm.weight"), sizes.head_width, layer.key_norm);
  }
  if (family.post_norms) {
    place_vector(named("post_attention_norm.weight"), sizes.width, layer.attention_post_norm);
    place_vector(named("post_ffw_norm.weight"), sizes.width, layer.feed_forward_post_norm);
  }
}

void ModelLoader::place_feed_forward(std::size_t index, LayerWeights& layer) {
  const Sizes& sizes = model_->sizes_;
  const auto named = [&](const char* name) { return fmt::format("blk.{}.{}", index, name); };
  // Some families keep gate and up in one matrix called up, gate first.
  const bool gated = model_->architecture().feed_forward.gated;
  const std::size_t both = gated && !has(named("ffn_gate.weight")) ? 2 * sizes.hidden : 0;
  const std::size_t up = both != 0 ? sizes.hidden : 0;
  if (gated)
    place_matrix({named(both != 0 ? "ffn_up.weight" : "ffn_gate.weight"), 0, both}, sizes.hidden,
                 sizes.width, layer.gate);
  place_matrix({named("ffn_up.weight"), up, both}, sizes.hidden, sizes.width, layer.up);
  place_matrix({named("ffn_down.weight")}, sizes.width, sizes.hidden, layer.down);
  if (gated) return;
  place_vector({named("ffn_up.bias")}, sizes.hidden, layer.up_bias, true);
  place_vector({named("ffn_down.bias")}, sizes.width, layer.down_bias, true);
}

// All of a layer's experts in one tensor or, in older files, each in its own.
void ModelLoader::place_experts(std::size_t index, LayerWeights& layer) {
  const Sizes& sizes = model_->sizes_;
  const bool together = has(fmt::format("blk.{}.ffn_gate_exps.weight", index));
  place_matrix({fmt::format("blk.{}.ffn_gate_inp.weight", index)}, sizes.experts, sizes.width,
               layer.router);
  layer.experts.resize(sizes.experts);
  for (std::size_t i = 0; i < sizes.experts; ++i) {
    const auto part = [&](const char* name, std::size_t rows) {
      if (together)
        return Part{fmt::format("blk.{}.ffn_{}_exps.weight", index, name), i * rows,
                    sizes.experts * rows};
      return Part{fmt::format("blk.{}.ffn_{}.{}.weight", index, name, i)};
    };
    LayerWeights::Expert& expert = layer.experts[i];
    place_matrix(part("gate", sizes.hidden), sizes.hidden, sizes.width, expert.gate);
    place_matrix(part("up", sizes.hidden), sizes.hidden, sizes.width, expert.up);
    place_matrix(part("down", sizes.width), sizes.width, sizes.hidden, expert.down);
  }
}

void ModelLoader::place_model() {
  const Sizes& sizes = model_->sizes_;
  place_vector({"output_norm.weight"}, sizes.width, model_->final_norm_);
  if (model_->architecture().norm == Architecture::Norm::layer)
    place_vector({"output_norm.bias"}, sizes.width, model_->final_norm_bias_, true);
  place_matrix({"token_embd.weight"}, sizes.vocab, sizes.width, model_->embedding_);
  if (!sizes.tied) place_matrix({"output.weight"}, sizes.vocab, sizes.width, model_->head_);
  place_vector({"output.bias"}, sizes.vocab, model_->head_bias_, true);
}

void ModelLoader::lay_out() {
  Sizes& sizes = model_->sizes_;
  const auto* embedding = model_->checkpoint_->find("token_embd.weight");
  if (embedding == nullptr)
    throw Error(Fault::corrupt_file,
                fmt::format("{}: tensor token_embd.weight is missing", file()));
  sizes.vocab = embedding->rows();
  if (sizes.vocab == 0 || sizes.vocab > (1U << 24))
    throw Error(Fault::corrupt_file,
                fmt::format("{}: tensor token_embd.weight has {} rows", file(), sizes.vocab));
  sizes.tied = !has("output.weight");

  model_->layers_.resize(sizes.layers);
  for (std::size_t i = 0; i < sizes.layers; ++i) {
    LayerWeights& layer = model_->layers_[i];
    place_norms(i, layer);
    place_attention(i, layer);
    if (sizes.experts > 0)
      place_experts(i, layer);
    else
      place_feed_forward(i, layer);
  }
  place_model();
}

// A tensor nobody reads would mean a model that is not the one in the file.
void ModelLoader::refuse_superfluous() const {
  for (const auto& tensor : model_->checkpoint_->tensors())
    if (!used_.contains(tensor.name) && !is_rotary_table(tensor.name))
      throw Error(Fault::unsupported,
                  fmt::format("{}: holds tensor {}, which family {} does not use", file(),
                              tensor.name, model_->architecture().name));
}

void ModelLoader::fill_piece(const Piece& piece, std::vector<std::byte>& scratch) const {
  const format::TensorInfo& tensor = *piece.placed->tensor;
  const math::Slice& target = *piece.placed->target;
  const std::size_t row_bytes = tensor.encoding->row_bytes(target.columns);
  scratch.resize(piece.rows * row_bytes);
  if (target.encoding == nullptr) {
    // Only vectors of single values are cut.
    const std::size_t skip =
        piece.placed->first == 0 ? 0 : tensor.encoding->row_bytes(piece.placed->first);
    model_->checkpoint_->read(tensor, skip, scratch);
    tensor.encoding->decode(scratch.data(), target.columns, math::host_floats(target));
    return;
  }
  model_->checkpoint_->read(tensor, (piece.placed->first + piece.first_row) * row_bytes, scratch);
  std::byte* group =
      target.buffer->host() + target.offset +
      piece.first_row / math::kGroupRows * tensor.encoding->group_bytes(target.columns);
  for (std::size_t row = 0; row < piece.rows; row += math::kGroupRows) {
    std::array<const std::byte*, math::kGroupRows> rows{};
    for (std::size_t i = 0; i < math::kGroupRows && row + i < piece.rows; ++i)
      rows[i] = scratch.data() + (row + i) * row_bytes;
    tensor.encoding->pack(rows, target.columns, group);
    group += tensor.encoding->group_bytes(target.columns);
  }
}

void ModelLoader::fill(base::ThreadPool& pool) {
  std::vector<Piece> pieces;
  for (const Placed& placed : placed_) {
    const std::size_t row_bytes =
        std::max<std::size_t>(1, placed.tensor->encoding->row_bytes(placed.target->columns));
    const std::size_t rows =
        std::max<std::size_t>(1, kPieceBytes / row_bytes / math::kGroupRows) * math::kGroupRows;
    for (std::size_t first = 0; first < placed.target->rows; first += rows)
      pieces.push_back({&placed, first, std::min(rows, placed.target->rows - first)});
  }
  std::mutex mutex;
  std::exception_ptr failure;
  std::size_t done = 0;
  pool.run(pieces.size(), [&](std::size_t index) {
    thread_local std::vector<std::byte> scratch;
    try {
      {
        const std::scoped_lock lock(mutex);
        if (failure) return;
        if (options_.progress)
          options_.progress(static_cast<double>(done) / static_cast<double>(pieces.size()));
        ++done;
      }
      fill_piece(pieces[index], scratch);
    } catch (...) {
      const std::scoped_lock lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  });
  if (failure) std::rethrow_exception(failure);
  if (options_.progress) options_.progress(1);
}

std::shared_ptr<const Model> Model::load(std::shared_ptr<const format::Checkpoint> checkpoint,
                                         math::Device& device, base::ThreadPool& pool,
                                         const LoadOptions& options) {
  ModelLoader loader(std::move(checkpoint), options);
  const std::uint64_t available = base::read_machine().usable_bytes();
  if (loader.bytes() + kMargin > available)
    throw Error(Fault::out_of_memory,
                fmt::format("the model needs {} MiB of memory and {} MiB are available",
                            (loader.bytes() + kMargin) >> 20, available >> 20));
  loader.allocate(device);
  loader.fill(pool);
  return loader.take();
}

std::shared_ptr<const Model> Model::plan(std::shared_ptr<const format::Checkpoint> checkpoint,
                                         math::PlanningDevice& device, const LoadOptions& options) {
  ModelLoader loader(std::move(checkpoint), options);
  loader.allocate(device);
  return loader.take();
}

}  // namespace malina::model
