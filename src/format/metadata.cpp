#include <fmt/format.h>

#include <cstdlib>
#include <limits>

#include "base/error.h"
#include "format/checkpoint.h"
#include "format/quote.h"

namespace malina::format {

namespace {

std::string_view kind(const MetadataValue& value) {
  struct Kind {
    std::string_view operator()(std::uint64_t) const { return "an integer"; }
    std::string_view operator()(std::int64_t) const { return "an integer"; }
    std::string_view operator()(double) const { return "a number"; }
    std::string_view operator()(bool) const { return "a boolean"; }
    std::string_view operator()(std::string_view) const { return "a text"; }
    std::string_view operator()(const MetadataArray&) const { return "an array"; }
  };
  return std::visit(Kind{}, value);
}

StoredType usual_type(const MetadataValue& value) {
  struct Usual {
    StoredType operator()(std::uint64_t v) const {
      return v <= std::numeric_limits<std::uint32_t>::max() ? StoredType::u32 : StoredType::u64;
    }
    StoredType operator()(std::int64_t v) const {
      return v >= std::numeric_limits<std::int32_t>::min() &&
                     v <= std::numeric_limits<std::int32_t>::max()
                 ? StoredType::i32
                 : StoredType::i64;
    }
    StoredType operator()(double) const { return StoredType::f32; }
    StoredType operator()(bool) const { return StoredType::boolean; }
    StoredType operator()(std::string_view) const { return StoredType::text; }
    StoredType operator()(const MetadataArray&) const { return StoredType::array; }
  };
  return std::visit(Usual{}, value);
}

base::Error wrong_type(const std::string& source, std::string_view key, const MetadataValue& value,
                       std::string_view wanted) {
  return base::Error(base::Fault::corrupt_file, fmt::format("{}metadata key {} is {}, not {}",
                                                            source.empty() ? "" : source + ": ",
                                                            in_quotes(key), kind(value), wanted));
}

}  // namespace

Metadata::Metadata(std::string source, std::shared_ptr<const void> owner)
    : source_(std::move(source)), owner_(std::move(owner)) {}

void Metadata::add(std::string key, MetadataValue value) {
  const StoredType stored = usual_type(value);
  add(std::move(key), std::move(value), stored);
}

void Metadata::add(std::string key, MetadataValue value, StoredType stored) {
  places_.emplace(key, entries_.size());
  entries_.push_back({std::move(key), std::move(value), stored});
}

const MetadataValue* Metadata::find(std::string_view key) const {
  const auto place = places_.find(key);
  return place == places_.end() ? nullptr : &entries_[place->second].value;
}

std::optional<std::string_view> Metadata::text(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* text = std::get_if<std::string_view>(value)) return *text;
  throw wrong_type(source_, key, *value, "a text");
}

std::optional<std::uint64_t> Metadata::integer(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* natural = std::get_if<std::uint64_t>(value)) return *natural;
  if (const auto* integer = std::get_if<std::int64_t>(value)) {
    if (*integer >= 0) return static_cast<std::uint64_t>(*integer);
    throw base::Error(base::Fault::corrupt_file,
                      fmt::format("{}metadata key {} is negative: {}",
                                  source_.empty() ? "" : source_ + ": ", in_quotes(key), *integer));
  }
  throw wrong_type(source_, key, *value, "an integer");
}

std::optional<double> Metadata::number(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<double>(value)) return *number;
  if (const auto* natural = std::get_if<std::uint64_t>(value)) return static_cast<double>(*natural);
  if (const auto* integer = std::get_if<std::int64_t>(value)) return static_cast<double>(*integer);
  throw wrong_type(source_, key, *value, "a number");
}

std::optional<bool> Metadata::boolean(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* boolean = std::get_if<bool>(value)) return *boolean;
  throw wrong_type(source_, key, *value, "a boolean");
}

const MetadataArray* Metadata::array(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (value == nullptr) return nullptr;
  if (const auto* array = std::get_if<MetadataArray>(value)) return array;
  throw wrong_type(source_, key, *value, "an array");
}

}  // namespace malina::format
