#include "model/hugging_face_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "format/checked.h"
#include "format/quote.h"

namespace malina::model {
namespace {

using base::Error;
using base::Fault;
using format::in_quotes;
using format::SafetensorsTensor;

// Tables that the rotary embedding is computed from anew; old files hold them.
bool is_table(std::string_view name) { return name.ends_with(".rotary_emb.inv_freq"); }

// Applies a family's rules to the tensors that are there.
class Conversion {
 public:
  Conversion(const HuggingFaceConfig& config, const HuggingFaceSizes& sizes,
             const format::SafetensorsModel& weights)
      : config_(config), sizes_(sizes), weights_(weights), body_(find_body()) {}

  std::vector<ConvertedTensor> run() {
    for (const TensorRule& rule : config_.form().tensors) {
      const bool layered = rule.ours.find(kHole) != std::string_view::npos;
      for (std::uint64_t layer = 0; layer < (layered ? sizes_.layers : 1); ++layer)
        apply(rule, filled(own_name(rule), layer), filled(rule.ours, layer));
    }
    for (const auto& factors : sizes_.factors) compute(factors);
    refuse_superfluous();
    check_vocabulary();
    return std::move(tensors_);
  }

  std::string warning() const {
    const SafetensorsTensor* head =
        weights_.find(own_name({.theirs = "lm_head", .ours = ""}) + ".weight");
    if ((head == nullptr) == sizes_.tied) return {};
    if (head != nullptr)
      return fmt::format(
          "config.json says that the output matrix is the embedding "
          "(tie_word_embeddings), but {} holds {}: that one is used",
          file_of(*head), head->name);
    return "config.json says that the output matrix is not the embedding (tie_word_embeddings), "
           "but "
           "no file holds lm_head.weight: the embedding is used";
  }

 private:
  std::string file_of(const SafetensorsTensor& tensor) const {
    return weights_.paths()[tensor.file].filename().string();
  }

  [[noreturn]] void fail(Fault fault, const SafetensorsTensor& tensor,
                         const std::string& cause) const {
    throw Error(fault, fmt::format("{}: tensor {} {}", weights_.file_name(tensor),
                                   in_quotes(tensor.name), cause));
  }

  std::string_view find_body() const {
    const auto bodies = config_.form().bodies;
    for (const std::string_view body : bodies)
      if (weights_.find(std::string(body) + "embed_tokens.weight") != nullptr) return body;
    return bodies.front();
  }

  // A rule's name as this directory has it: the output matrix stands beside the body.
  std::string own_name(const TensorRule& rule) const {
    constexpr std::string_view kBody = "model.";
    if (rule.theirs.starts_with(kBody))
      return std::string(body_) + std::string(rule.theirs.substr(kBody.size()));
    if (body_.ends_with(kBody) && weights_.find(std::string(rule.theirs) + ".weight") == nullptr)
      return std::string(body_.substr(0, body_.size() - kBody.size())) + std::string(rule.theirs);
    return std::string(rule.theirs);
  }

  void apply(const TensorRule& rule, const std::string& theirs, const std::string& ours) {
    std::vector<const SafetensorsTensor*> sources;
    const bool stacked = theirs.find(kHole) != std::string::npos;
    for (std::uint64_t i = 0; i < (stacked ? sizes_.experts : 1); ++i) {
      const std::string name = filled(theirs, i) + ".weight";
      const SafetensorsTensor* source = weights_.find(name);
      if (source == nullptr && rule.optional) return;
      if (source == nullptr)
        throw Error(Fault::corrupt_file,
                    fmt::format("{}: tensor {} is missing: family {} of {} layers needs it",
                                weights_.paths().front().string(), in_quotes(name),
                                config_.architecture().name, sizes_.layers));
      sources.push_back(source);
    }
    add(rule, std::move(sources), ours + ".weight", stacked);
    if (!rule.bias || stacked) return;
    if (const SafetensorsTensor* bias = weights_.find(theirs + ".bias"))
      add(rule, {bias}, ours + ".bias", false);
  }

  void add(const TensorRule& rule, std::vector<const SafetensorsTensor*> sources, std::string name,
           bool stacked) {
    const SafetensorsTensor& first = *sources.front();
    for (const SafetensorsTensor* source : sources) {
      used_.insert(source->name);
      if (source->encoding == nullptr)
        fail(Fault::unsupported, *source,
             fmt::format("is {}, which malina does not read as a weight; F32, F16 and BF16 are",
                         source->type));
      if (source->shape != first.shape || source->encoding != first.encoding)
        fail(Fault::unsupported, *source,
             fmt::format("differs in shape or dtype from {}, with which it is one matrix",
                         in_quotes(first.name)));
    }
    if (first.shape.empty() || first.shape.size() > 2)
      fail(Fault::corrupt_file, first,
           fmt::format("has {} dimensions instead of 1 or 2", first.shape.size()));
    ConvertedTensor tensor{.info = {.name = std::move(name),
                                    .encoding = first.encoding,
                                    .shape = {first.shape.rbegin(), first.shape.rend()},
                                    .file = first.file,
                                    .offset = first.offset,
                                    .bytes = 0},
                           .sources = std::move(sources),
                           .computed = {}};
    const bool vector = first.shape.size() == 1;
    if (stacked) tensor.info.shape.push_back(tensor.sources.size());
    tensor.widened = vector || rule.single;
    if (tensor.widened) tensor.info.encoding = math::find_encoding("f32");
    if (vector && is_norm(rule) && tensor.info.name.ends_with(".weight"))
      tensor.offset = config_.form().norm_offset;
    tensor.paired_heads = paired_heads(rule, first);
    finish(std::move(tensor));
  }

  static bool is_norm(const TensorRule& rule) { return rule.theirs.ends_with("norm"); }

  std::uint64_t paired_heads(const TensorRule& rule, const SafetensorsTensor& tensor) const {
    if (rule.rows == TensorRule::Rows::as_they_are) return 0;
    const std::uint64_t heads =
        rule.rows == TensorRule::Rows::pairs_of_queries ? sizes_.heads : sizes_.kv_heads;
    if (tensor.shape.front() % (2 * heads) != 0)
      fail(Fault::corrupt_file, tensor,
           fmt::format("has {} rows, not an even number for each of {} heads", tensor.shape.front(),
                       heads));
    return heads;
  }

  void finish(ConvertedTensor tensor) {
    const auto values = format::multiply(tensor.info.columns(), tensor.info.rows());
    const auto bytes =
        values ? format::multiply(*values, tensor.info.encoding->block_bytes) : std::nullopt;
    if (!bytes)
      fail(Fault::corrupt_file, *tensor.sources.front(), "is larger than 64 bits can count");
    tensor.info.bytes = *bytes;
    tensors_.push_back(std::move(tensor));
  }

  void compute(const HuggingFaceSizes::Factors& factors) {
    ConvertedTensor tensor{.info = {.name = factors.name,
                                    .encoding = math::find_encoding("f32"),
                                    .shape = {factors.values.size()},
                                    .file = 0,
                                    .offset = 0,
                                    .bytes = factors.values.size() * sizeof(float)},
                           .sources = {},
                           .computed = factors.values};
    tensors_.push_back(std::move(tensor));
  }

  void refuse_superfluous() const {
    const auto ignored = config_.form().ignored;
    for (const SafetensorsTensor& tensor : weights_.tensors()) {
      if (used_.contains(tensor.name) || is_table(tensor.name)) continue;
      if (std::any_of(ignored.begin(), ignored.end(),
                      [&](std::string_view begin) { return tensor.name.starts_with(begin); }))
        continue;
      fail(Fault::unsupported, tensor,
           fmt::format("is not one that family {} of {} layers has", config_.architecture().name,
                       sizes_.layers));
    }
  }

  void check_vocabulary() const {
    for (const ConvertedTensor& tensor : tensors_)
      if (tensor.info.name == "token_embd.weight" && tensor.info.rows() != sizes_.vocabulary)
        fail(Fault::corrupt_file, *tensor.sources.front(),
             fmt::format("has {} rows, but vocab_size in config.json is {}", tensor.info.rows(),
                         sizes_.vocabulary));
  }

  const HuggingFaceConfig& config_;
  const HuggingFaceSizes& sizes_;
  const format::SafetensorsModel& weights_;
  std::string_view body_;
  std::set<std::string_view> used_;
  std::vector<ConvertedTensor> tensors_;
};

}  // namespace

std::string filled(std::string_view name, std::uint64_t number) {
  const auto hole = name.find(kHole);
  if (hole == std::string_view::npos) return std::string(name);
  return fmt::format("{}{}{}", name.substr(0, hole), number, name.substr(hole + kHole.size()));
}

ConvertedTensors::ConvertedTensors(const HuggingFaceConfig& config, const HuggingFaceSizes& sizes,
                                   const format::SafetensorsModel& weights)
    : weights_(weights) {
  Conversion conversion(config, sizes, weights);
  tensors_ = conversion.run();
  warning_ = conversion.warning();
}

void ConvertedTensors::read(const ConvertedTensor& tensor, std::uint64_t offset,
                            std::span<std::byte> output) const {
  if (offset > tensor.info.bytes || output.size() > tensor.info.bytes - offset)
    throw Error(Fault::internal,
                fmt::format("{} bytes at {} were asked of tensor {}, which has {}", output.size(),
                            offset, in_quotes(tensor.info.name), tensor.info.bytes));
  if (output.empty()) return;
  if (tensor.sources.empty())
    std::memcpy(output.data(), std::as_bytes(std::span(tensor.computed)).data() + offset,
                output.size());
  else if (tensor.widened)
    read_widened(tensor, offset, output);
  else
    read_sources(tensor, offset, output);
}

// In the encoding of the sources, rows in GGUF's order.
void ConvertedTensors::read_sources(const ConvertedTensor& tensor, std::uint64_t offset,
                                    std::span<std::byte> output) const {
  if (tensor.paired_heads == 0) return read_stacked(tensor, offset, output);
  const SafetensorsTensor& source = *tensor.sources.front();
  const std::uint64_t rows = source.shape.front();
  const std::uint64_t row_bytes = source.bytes / rows;
  const std::uint64_t head_rows = rows / tensor.paired_heads;
  while (!output.empty()) {
    const std::uint64_t row = offset / row_bytes, within = offset % row_bytes;
    const std::uint64_t head = row / head_rows, place = row % head_rows;
    const std::uint64_t original = head * head_rows + place % 2 * (head_rows / 2) + place / 2;
    const std::size_t count = std::min<std::uint64_t>(output.size(), row_bytes - within);
    weights_.read(source, original * row_bytes + within, output.first(count));
    output = output.subspan(count);
    offset += count;
  }
}

void ConvertedTensors::read_stacked(const ConvertedTensor& tensor, std::uint64_t offset,
                                    std::span<std::byte> output) const {
  const std::uint64_t each = tensor.sources.front()->bytes;
  while (!output.empty()) {
    const std::uint64_t within = offset % each;
    const std::size_t count = std::min<std::uint64_t>(output.size(), each - within);
    weights_.read(*tensor.sources[offset / each], within, output.first(count));
    output = output.subspan(count);
    offset += count;
  }
}

void ConvertedTensors::read_widened(const ConvertedTensor& tensor, std::uint64_t offset,
                                    std::span<std::byte> output) const {
  constexpr std::uint64_t kPieceValues = 16 << 10;
  const math::Encoding& encoding = *tensor.sources.front()->encoding;
  std::vector<std::byte> narrow;
  std::vector<float> wide;
  while (!output.empty()) {
    const std::uint64_t first = offset / sizeof(float), within = offset % sizeof(float);
    const std::uint64_t wanted = (within + output.size() + sizeof(float) - 1) / sizeof(float);
    const std::uint64_t values = std::min(wanted, kPieceValues);
    narrow.resize(values * encoding.block_bytes);
    wide.resize(values);
    read_sources(tensor, first * encoding.block_bytes, narrow);
    encoding.decode(narrow.data(), values, wide.data());
    if (tensor.offset != 0)
      for (float& value : wide) value += tensor.offset;
    const std::size_t count =
        std::min<std::uint64_t>(output.size(), values * sizeof(float) - within);
    std::memcpy(output.data(), std::as_bytes(std::span(wide)).data() + within, count);
    output = output.subspan(count);
    offset += count;
  }
}

}  // namespace malina::model
