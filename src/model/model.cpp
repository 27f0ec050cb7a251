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

// Present in some files and of no use here: tables that the rotary embedding can be computed from.
bool is_ignored(std::string_view name) {
  return name == "rope_freqs.weight" || name.ends_with(".attn_rot_embd") ||
         name.ends_with(".attn_rot_embd.weight") || name.ends_with("rotary_emb.inv_freq");
}

}  // namespace

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
  struct Placed {
    const format::TensorInfo* tensor;
    math::Slice* target;
  };
  struct Piece {
    const Placed* placed;
    std::size_t first_row, rows;
  };

  std::string file() const { return model_->checkpoint_->files()[0].string(); }
  void lay_out();
  void refuse_superfluous() const;
  bool place(const std::string& name, std::size_t rows, std::size_t columns, math::Slice& target,
             bool optional = false);
  void place_matrix(const std::string& name, std::size_t rows, std::size_t columns,
                    math::Slice& target);
  void place_vector(const std::string& name, std::size_t columns, math::Slice& target,
                    bool optional = false);
  void fill_piece(const Piece& piece, std::vector<std::byte>& scratch) const;

  std::shared_ptr<Model> model_;
  const LoadOptions& options_;
  std::vector<Placed> placed_;
  std::set<std::string_view> used_;
  std::size_t bytes_ = 0;
};

bool ModelLoader::place(const std::string& name, std::size_t rows, std::size_t columns,
                        math::Slice& target, bool optional) {
  const auto* tensor = model_->checkpoint_->find(name);
  if (tensor == nullptr) {
    if (optional) return false;
    throw Error(Fault::corrupt_file, fmt::format("{}: tensor {} is missing", file(), name));
  }
  if (tensor->columns() != columns || tensor->rows() != rows)
    throw Error(Fault::corrupt_file,
                fmt::format("{}: tensor {} has shape [{}], expected [{}, {}]",
                            model_->checkpoint_->files()[tensor->file].string(), name,
                            fmt::join(tensor->shape, ", "), columns, rows));
  used_.insert(tensor->name);
  target.rows = rows;
  target.columns = target.stride = columns;
  target.offset = bytes_;
  placed_.push_back({tensor, &target});
  return true;
}

void ModelLoader::place_matrix(const std::string& name, std::size_t rows, std::size_t columns,
                               math::Slice& target) {
  place(name, rows, columns, target);
  target.encoding = placed_.back().tensor->encoding;
  bytes_ += math::packed_bytes(rows, columns, *target.encoding);
}

void ModelLoader::place_vector(const std::string& name, std::size_t columns, math::Slice& target,
                               bool optional) {
  if (!place(name, 1, columns, target, optional)) return;
  bytes_ += (columns * sizeof(float) + kAlign - 1) / kAlign * kAlign;
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
  sizes.tied = model_->checkpoint_->find("output.weight") == nullptr;

  model_->layers_.resize(sizes.layers);
  placed_.reserve(sizes.layers * 13 + 3);
  const std::size_t query = sizes.heads * sizes.head_width;
  const std::size_t key = sizes.kv_heads * sizes.head_width;
  for (std::size_t i = 0; i < sizes.layers; ++i) {
    LayerWeights& layer = model_->layers_[i];
    const auto named = [&](const char* name) { return fmt::format("blk.{}.{}", i, name); };
    place_vector(named("attn_norm.weight"), sizes.width, layer.attention_norm);
    place_matrix(named("attn_q.weight"), query, sizes.width, layer.query);
    place_matrix(named("attn_k.weight"), key, sizes.width, layer.key);
    place_matrix(named("attn_v.weight"), key, sizes.width, layer.value);
    place_matrix(named("attn_output.weight"), sizes.width, query, layer.output);
    place_vector(named("attn_q.bias"), query, layer.query_bias, true);
    place_vector(named("attn_k.bias"), key, layer.key_bias, true);
    place_vector(named("attn_v.bias"), key, layer.value_bias, true);
    place_vector(named("attn_output.bias"), sizes.width, layer.output_bias, true);
    place_vector(named("ffn_norm.weight"), sizes.width, layer.feed_forward_norm);
    place_matrix(named("ffn_gate.weight"), sizes.hidden, sizes.width, layer.gate);
    place_matrix(named("ffn_up.weight"), sizes.hidden, sizes.width, layer.up);
    place_matrix(named("ffn_down.weight"), sizes.width, sizes.hidden, layer.down);
  }
  place_vector("output_norm.weight", sizes.width, model_->final_norm_);
  place_matrix("token_embd.weight", sizes.vocab, sizes.width, model_->embedding_);
  if (!sizes.tied) place_matrix("output.weight", sizes.vocab, sizes.width, model_->head_);
}

// A tensor nobody reads would mean a model that is not the one in the file.
void ModelLoader::refuse_superfluous() const {
  for (const auto& tensor : model_->checkpoint_->tensors())
    if (!used_.contains(tensor.name) && !is_ignored(tensor.name))
      throw Error(Fault::unsupported,
                  fmt::format("{}: holds tensor {}, which family {} does not use", file(),
                              tensor.name, model_->architecture().name));
}

void ModelLoader::fill_piece(const Piece& piece, std::vector<std::byte>& scratch) const {
  const format::TensorInfo& tensor = *piece.placed->tensor;
  const math::Slice& target = *piece.placed->target;
  const std::size_t row_bytes = tensor.encoding->row_bytes(target.columns);
  scratch.resize(piece.rows * row_bytes);
  model_->checkpoint_->read(tensor, piece.first_row * row_bytes, scratch);
  if (target.encoding == nullptr) {
    tensor.encoding->decode(scratch.data(), target.columns, math::host_floats(target));
    return;
  }
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
