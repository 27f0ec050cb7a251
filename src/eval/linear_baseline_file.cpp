// The file of a linear baseline, little-endian:
//   "MALINALB"  u32 version (1)  u32 kind (0 texts, 1 dense features, 2 the same by a discriminant
//   analysis)  f64 cost, of kind 2 shrinkage and temperature  u64 labels  u64 width
//   labels: u64 length and the bytes, ascending
//   texts: width times u64 hash, f32 inverse document frequency; dense: width f32 means, then
//   scales (width + 1) * labels f32 weights: those of a column lie together, the bias last SHA-256
//   of all before it
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text_file.h"
#include "eval/linear_baseline.h"
#include "eval/sealed_file.h"
#include "format/byte_cursor.h"

namespace malina::eval {

namespace {

using base::Error;
using base::Fault;
using format::ByteCursor;

constexpr std::string_view kMagic = "MALINALB";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kTexts = 0, kDense = 1, kDiscriminant = 2;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 31;

template <class Number>
void put(std::string& bytes, Number number) {
  static_assert(std::is_arithmetic_v<Number>);
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void put_all(std::string& bytes, const std::vector<float>& values) {
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}

std::vector<float> finite_values(ByteCursor& cursor, std::uint64_t count) {
  const std::span<const std::byte> bytes = cursor.take(count * sizeof(float));
  std::vector<float> values(count);
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  for (const float value : values)
    if (!std::isfinite(value)) cursor.fail("a value is not a finite number");
  return values;
}

LinearPenalty read_penalty(ByteCursor& cursor, bool discriminant) {
  const auto positive = [&](const char* what) {
    const auto value = cursor.number<double>();
    if (!(value > 0) || !std::isfinite(value))
      cursor.fail(fmt::format("the {} is not a positive number", what));
    return value;
  };
  if (!discriminant) return {.cost = positive("cost")};
  const double shrinkage = positive("shrinkage");
  if (shrinkage > 1) cursor.fail("the shrinkage is more than 1");
  return {.shrinkage = shrinkage, .temperature = positive("temperature")};
}

std::vector<std::string> read_labels(ByteCursor& cursor, std::uint64_t count) {
  std::vector<std::string> labels;
  for (std::uint64_t i = 0; i < count; ++i) {
    cursor.enter({"label", {}, i + 1, count});
    std::string label(cursor.text());
    if (label.size() > LinearBaseline::kLongestLabel) cursor.fail("it is too long");
    if (!labels.empty() && label <= labels.back()) cursor.fail("it is not in ascending order");
    labels.push_back(std::move(label));
  }
  return labels;
}

TextFeatures read_terms(ByteCursor& cursor, std::uint64_t width) {
  cursor.enter({"terms"});
  std::vector<TextFeatures::Term> terms;
  terms.reserve(width);  // no more than the file has bytes, which the caller has checked
  for (std::uint64_t i = 0; i < width; ++i) {
    const auto hash = cursor.number<std::uint64_t>();
    terms.push_back({hash, cursor.number<float>()});
  }
  auto features = TextFeatures::from_terms(std::move(terms));
  if (!features) cursor.fail("a term stands twice, or its frequency is not a positive number");
  return std::move(*features);
}

ColumnScaling read_scaling(ByteCursor& cursor, std::uint64_t width) {
  cursor.enter({"scaling"});
  ColumnScaling scaling;
  scaling.means = finite_values(cursor, width);
  scaling.scales = finite_values(cursor, width);
  for (const float scale : scaling.scales)
    if (scale < 0) cursor.fail("a scale is negative");
  return scaling;
}

}  // namespace

std::string LinearBaseline::bytes() const {
  std::string result(kMagic);
  const auto* const texts = std::get_if<TextFeatures>(&features_);
  put(result, kVersion);
  const std::uint32_t dense = penalty_.discriminant() ? kDiscriminant : kDense;
  put(result, texts != nullptr ? kTexts : dense);
  put(result, penalty_.discriminant() ? penalty_.shrinkage : penalty_.cost);
  if (penalty_.discriminant()) put(result, penalty_.temperature);
  put(result, static_cast<std::uint64_t>(labels_.size()));
  put(result, static_cast<std::uint64_t>(weights_.width));
  for (const std::string& label : labels_) {
    put(result, static_cast<std::uint64_t>(label.size()));
    result += label;
  }
  if (texts != nullptr) {
    for (const TextFeatures::Term& term : texts->terms()) {
      put(result, term.hash);
      put(result, term.inverse_document_frequency);
    }
  } else {
    put_all(result, std::get<ColumnScaling>(features_).means);
    put_all(result, std::get<ColumnScaling>(features_).scales);
  }
  put_all(result, weights_.weights);
  return with_digest(std::move(result));
}

LinearBaseline LinearBaseline::parse(std::string_view bytes, const std::string& name) {
  const std::string_view content = checked_content(bytes, kMagic, "a linear baseline", name);
  ByteCursor cursor(std::as_bytes(std::span(content)), name);
  cursor.take(kMagic.size());
  if (const auto version = cursor.number<std::uint32_t>(); version != kVersion)
    throw cursor.error(Fault::unsupported, fmt::format("version {} is not known", version));
  const auto kind = cursor.number<std::uint32_t>();
  if (kind != kTexts && kind != kDense && kind != kDiscriminant)
    cursor.fail("it is neither of texts nor of features");
  const LinearPenalty penalty = read_penalty(cursor, kind == kDiscriminant);
  const auto classes = cursor.number<std::uint64_t>();
  const auto width = cursor.number<std::uint64_t>();
  if (classes < 2) cursor.fail("there are fewer than two labels");
  // Before anything is made of these numbers: the weights alone must fit in the file.
  if (classes > cursor.remaining() / sizeof(float) || width >= cursor.remaining() / sizeof(float) ||
      (width + 1) > cursor.remaining() / sizeof(float) / classes)
    cursor.fail("it is shorter than its labels and its width say");
  std::vector<std::string> labels = read_labels(cursor, classes);
  Features features;
  if (kind == kTexts)
    features = read_terms(cursor, width);
  else
    features = read_scaling(cursor, width);
  cursor.enter({"weights"});
  LogisticWeights weights{width, classes, finite_values(cursor, (width + 1) * classes)};
  if (cursor.remaining() != 0) cursor.fail("there is more after its end");
  return {std::move(features), std::move(weights), std::move(labels), penalty};
}

void LinearBaseline::save(const std::filesystem::path& path) const {
  base::AtomicFile file(path);
  file.write(bytes());
  file.commit();
}

LinearBaseline LinearBaseline::load(const std::filesystem::path& path) {
  const base::File file = base::File::open(path);
  const std::uint64_t size = file.size();
  if (size > kMostBytes)
    throw Error(Fault::unsupported,
                fmt::format("{}: {} bytes are more than a linear baseline has", file.name(), size));
  return parse(base::read_text(file, size), file.name());
}

}  // namespace malina::eval
