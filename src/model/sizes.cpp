// Sizes of a model from its metadata.
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "model/model.h"

namespace malina::model {
namespace {

using base::Error;
using base::Fault;

// Bounds far above any model this program is for; they keep products of sizes within 64 bits.
constexpr std::uint64_t kMostLayers = 1024;
constexpr std::uint64_t kMostWidth = 1 << 20;
constexpr std::uint64_t kMostContext = 1ULL << 31;
constexpr std::uint64_t kMostExperts = 1024;

class Reader {
 public:
  Reader(const format::Checkpoint& checkpoint, std::string_view prefix)
      : metadata_(checkpoint.metadata()), file_(checkpoint.files()[0].string()), prefix_(prefix) {}

  std::string key(std::string_view name) const { return fmt::format("{}.{}", prefix_, name); }

  std::uint64_t size(std::string_view name, std::uint64_t most) const {
    const auto value = optional_size(name, most);
    if (!value) throw Error(Fault::corrupt_file, fmt::format("{}: has no {}", file_, key(name)));
    return *value;
  }

  std::optional<std::uint64_t> optional_size(std::string_view name, std::uint64_t most) const {
    const std::string full = key(name);
    const auto* stored = metadata_.find(full);
    if (stored != nullptr && std::holds_alternative<format::MetadataArray>(*stored))
      return uniform(full, std::get<format::MetadataArray>(*stored), most);
    const auto value = metadata_.integer(full);
    if (!value) return std::nullopt;
    if (*value == 0 || *value > most)
      throw Error(Fault::corrupt_file,
                  fmt::format("{}: {} is {}, outside of 1 to {}", file_, full, *value, most));
    return value;
  }

  double number(std::string_view name, double otherwise) const {
    const double value = metadata_.number(key(name)).value_or(otherwise);
    if (!std::isfinite(value) || value < 0)
      throw Error(Fault::corrupt_file, fmt::format("{}: {} is {}", file_, key(name), value));
    return value;
  }

  const format::Metadata& metadata() const { return metadata_; }
  const std::string& file() const { return file_; }

 private:
  // Some files give one number a layer.
  std::uint64_t uniform(const std::string& full, const format::MetadataArray& array,
                        std::uint64_t most) const {
    if (array.integers.empty())
      throw Error(Fault::corrupt_file, fmt::format("{}: {} holds no integers", file_, full));
    for (const std::int64_t value : array.integers)
      if (value != array.integers[0])
        throw Error(Fault::unsupported,
                    fmt::format("{}: {} differs from layer to layer, which malina does not run",
                                file_, full));
    const std::int64_t value = array.integers[0];
    if (value <= 0 || static_cast<std::uint64_t>(value) > most)
      throw Error(Fault::corrupt_file,
                  fmt::format("{}: {} is {}, outside of 1 to {}", file_, full, value, most));
    return static_cast<std::uint64_t>(value);
  }

  const format::Metadata& metadata_;
  std::string file_;
  std::string_view prefix_;
};

// A tensor of factors that divide the rotary frequencies; empty where the file has none.
std::vector<float> frequency_factors(const format::Checkpoint& checkpoint, std::string_view name,
                                     std::size_t count) {
  const auto* tensor = checkpoint.find(name);
  if (tensor == nullptr) return {};
  const std::string file = checkpoint.files()[tensor->file].string();
  if (tensor->rows() != 1 || tensor->columns() != count)
    throw Error(Fault::corrupt_file, fmt::format("{}: tensor {} has {} values, expected {}", file,
                                                 name, tensor->columns() * tensor->rows(), count));
  std::vector<std::byte> bytes(tensor->bytes);
  checkpoint.read(*tensor, 0, bytes);
  std::vector<float> factors(count);
  tensor->encoding->decode(bytes.data(), count, factors.data());
  for (const float factor : factors)
    if (!(factor > 0) || !std::isfinite(factor))
      throw Error(Fault::corrupt_file, fmt::format("{}: tensor {} holds {}", file, name, factor));
  return factors;
}

// As the reference: 1 / base^(2j/d) in float32, then divided. factors: empty, or one each.
std::vector<float> frequencies(std::size_t rotated, double base, float linear,
                               const std::vector<float>& factors) {
  std::vector<float> result(rotated / 2);
  for (std::size_t j = 0; j < result.size(); ++j) {
    const float exponent = static_cast<float>(2 * j) / static_cast<float>(rotated);
    result[j] = 1.0F / std::pow(static_cast<float>(base), exponent);
    if (linear != 1) result[j] /= linear;
    if (!factors.empty()) result[j] /= factors[j];
  }
  return result;
}

// Two sets of factors, for short and for long sequences (Ding et al., 2024: LongRoPE).
void read_long_rope(const Reader& reader, const format::Checkpoint& checkpoint,
                    std::size_t rotated, double base, Sizes& sizes, LayerKind& full) {
  const auto short_factors =
      frequency_factors(checkpoint, "rope_factors_short.weight", rotated / 2);
  const auto long_factors = frequency_factors(checkpoint, "rope_factors_long.weight", rotated / 2);
  if (short_factors.empty() || long_factors.empty())
    throw Error(Fault::corrupt_file,
                fmt::format("{}: rotary scaling is longrope, but a tensor of its factors, "
                            "rope_factors_short or rope_factors_long, is missing",
                            reader.file()));
  const double original = static_cast<double>(
      reader.size("rope.scaling.original_context_length", kMostContext));
  const double stretch = static_cast<double>(sizes.context) / original;
  const double magnitude = stretch > 1 ? std::sqrt(1 + std::log(stretch) / std::log(original)) : 1;
  sizes.short_context = static_cast<std::size_t>(original);
  full.frequencies = frequencies(rotated, base, 1, short_factors);
  full.long_frequencies = frequencies(rotated, base, 1, long_factors);
  full.magnitude = static_cast<float>(reader.number("rope.scaling.attn_factor", magnitude));
  sizes.rotary_scaling = fmt::format("longrope (beyond {})", sizes.short_context);
}

// The rotary embedding of layers without a window, which are all layers in most models.
void read_rotary(const Reader& reader, const format::Checkpoint& checkpoint, Sizes& sizes,
                 LayerKind& full) {
  const std::size_t rotated =
      reader.optional_size("rope.dimension_count", kMostWidth).value_or(sizes.head_width);
  if (rotated > sizes.head_width || rotated % 2 != 0)
    throw Error(Fault::corrupt_file,
                fmt::format("{}: {} is {}, but a head has {} values", reader.file(),
                            reader.key("rope.dimension_count"), rotated, sizes.head_width));
  const double base = reader.number("rope.freq_base", 10000);
  if (base <= 0)
    throw Error(Fault::corrupt_file,
                fmt::format("{}: {} is {}", reader.file(), reader.key("rope.freq_base"), base));

  const auto type = reader.metadata().text(reader.key("rope.scaling.type"));
  const bool long_rope = type == "longrope" ||
                         (!type && checkpoint.find("rope_factors_long.weight") != nullptr);
  if (long_rope) return read_long_rope(reader, checkpoint, rotated, base, sizes, full);
  if (type && *type != "none" && *type != "linear")
    throw Error(Fault::unsupported,
                fmt::format("{}: {} is '{}', which malina does not run", reader.file(),
                            reader.key("rope.scaling.type"), *type));
  sizes.rotary_scaling = "none";
  double factor =
      type == "none" ? 1.0
                     : reader.number("rope.scaling.factor", reader.number("rope.scale_linear", 1));
  if (factor == 0) factor = 1;
  if (factor != 1) sizes.rotary_scaling = fmt::format("linear {}", factor);
  // Llama 3.1 and later carry their scaling as a tensor.
  const auto factors = frequency_factors(checkpoint, "rope_freqs.weight", rotated / 2);
  if (!factors.empty()) sizes.rotary_scaling = "llama3 (rope_freqs)";
  full.frequencies = frequencies(rotated, base, static_cast<float>(factor), factors);
}

std::uint32_t read_window(const Reader& reader, const Architecture& architecture,
                          std::optional<std::uint32_t> window, Sizes& sizes) {
  if (window) {
    if (*window != 0) sizes.window_source = "--window";
    return *window;
  }
  const auto stored = reader.metadata().integer(reader.key("attention.sliding_window"));
  if (stored && *stored != 0 && *stored < kMostContext) {
    sizes.window_source = "the file";
    return static_cast<std::uint32_t>(*stored);
  }
  if (stored || architecture.attention.inferred_window == nullptr) return 0;
  const auto inferred = architecture.attention.inferred_window(reader.metadata());
  if (!inferred) return 0;
  sizes.window_source =
      fmt::format("inferred: {} has it and its GGUF files do not say so", architecture.title);
  return *inferred;
}

// Which layers are of which kind.
void read_kinds(const Reader& reader, const Architecture& architecture, LayerKind full,
                std::uint32_t window, Sizes& sizes) {
  const auto& form = architecture.attention;
  LayerKind windowed = full;
  windowed.window = window;
  if (form.window_rotary_base) {
    const double base = reader.number("rope.freq_base_swa", *form.window_rotary_base);
    windowed.frequencies = frequencies(2 * full.frequencies.size(), base, 1, {});
  }
  const bool mixed = form.full_every != 0 && (window != 0 || form.window_rotary_base);
  const auto is_full = [&](std::size_t layer) {
    return mixed ? (layer + 1) % form.full_every == 0 : window == 0;
  };
  for (const bool wanted : {true, false}) {
    LayerKind kind = wanted ? full : windowed;
    for (std::size_t layer = 0; layer < sizes.layers; ++layer)
      kind.layers += is_full(layer) == wanted ? 1 : 0;
    if (kind.layers > 0) sizes.kinds.push_back(std::move(kind));
  }
  std::vector<std::size_t> next(sizes.kinds.size(), 0);
  for (std::size_t layer = 0; layer < sizes.layers; ++layer) {
    const std::size_t kind = sizes.kinds.size() == 2 && !is_full(layer) ? 1 : 0;
    sizes.places.push_back({kind, next[kind]++});
  }
}

void read_experts(const Reader& reader, const Architecture& architecture, Sizes& sizes) {
  if (reader.metadata().integer(reader.key("expert_count")).value_or(0) == 0) return;
  if (!architecture.experts)
    throw Error(Fault::unsupported,
                fmt::format("{}: is a mixture of experts, which malina does not run in family {}",
                            reader.file(), architecture.name));
  sizes.experts = reader.size("expert_count", kMostExperts);
  sizes.experts_used = reader.size("expert_used_count", sizes.experts);
}

}  // namespace

std::uint32_t Sizes::window() const {
  std::uint32_t smallest = 0;
  for (const LayerKind& kind : kinds)
    if (kind.window != 0 && (smallest == 0 || kind.window < smallest)) smallest = kind.window;
  return smallest;
}

Sizes read_sizes(const format::Checkpoint& checkpoint, const Architecture& architecture,
                 std::optional<std::uint32_t> window) {
  const Reader reader(checkpoint, architecture.gguf);
  Sizes sizes;
  sizes.layers = reader.size("block_count", kMostLayers);
  sizes.width = reader.size("embedding_length", kMostWidth);
  sizes.hidden = reader.size("feed_forward_length", kMostWidth);
  sizes.heads = reader.size("attention.head_count", kMostWidth);
  sizes.kv_heads =
      reader.optional_size("attention.head_count_kv", kMostWidth).value_or(sizes.heads);
  sizes.context = reader.optional_size("context_length", kMostContext).value_or(2048);
  sizes.epsilon = static_cast<float>(
      reader.number(architecture.norm == Architecture::Norm::rms ? "attention.layer_norm_rms_epsilon"
                                                                 : "attention.layer_norm_epsilon",
                    1e-5));
  const auto head_width = reader.optional_size("attention.key_length", kMostWidth);
  const auto value_width = reader.optional_size("attention.value_length", kMostWidth);
  if (!head_width && sizes.width % sizes.heads != 0)
    throw Error(Fault::corrupt_file,
                fmt::format("{}: embedding_length {} is not a multiple of head_count {}",
                            reader.file(), sizes.width, sizes.heads));
  sizes.head_width = head_width.value_or(sizes.width / sizes.heads);
  if (value_width && *value_width != sizes.head_width)
    throw Error(Fault::unsupported,
                fmt::format("{}: keys of {} and values of {} differ in width, which malina does "
                            "not run",
                            reader.file(), sizes.head_width, *value_width));
  if (sizes.heads % sizes.kv_heads != 0)
    throw Error(Fault::corrupt_file,
                fmt::format("{}: head_count {} is not a multiple of head_count_kv {}",
                            reader.file(), sizes.heads, sizes.kv_heads));
  if (sizes.heads * sizes.head_width > kMostWidth)
    throw Error(Fault::corrupt_file, fmt::format("{}: {} heads of {} values are too many",
                                                 reader.file(), sizes.heads, sizes.head_width));
  read_experts(reader, architecture, sizes);
  sizes.attention_scale = 1.0F / std::sqrt(static_cast<float>(sizes.head_width));
  if (architecture.attention.scale != nullptr)
    if (const auto scale = architecture.attention.scale(reader.metadata()))
      sizes.attention_scale = *scale;
  if (architecture.scaled_embedding)
    sizes.embedding_scale = std::sqrt(static_cast<float>(sizes.width));
  LayerKind full;
  read_rotary(reader, checkpoint, sizes, full);
  read_kinds(reader, architecture, std::move(full),
             read_window(reader, architecture, window, sizes), sizes);
  return sizes;
}

}  // namespace malina::model
