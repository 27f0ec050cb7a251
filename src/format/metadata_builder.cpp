#include "format/metadata_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "format/quote.h"

namespace malina::format {

namespace {

base::Error defect(std::string_view key, std::string_view cause) {
  return base::Error(base::Fault::internal,
                     fmt::format("metadata key {} {}", in_quotes(key), cause));
}

template <typename Value>
bool fits(Value value, StoredType stored) {
  switch (stored) {
    case StoredType::u8:
      return std::in_range<std::uint8_t>(value);
    case StoredType::i8:
      return std::in_range<std::int8_t>(value);
    case StoredType::u16:
      return std::in_range<std::uint16_t>(value);
    case StoredType::i16:
      return std::in_range<std::int16_t>(value);
    case StoredType::u32:
      return std::in_range<std::uint32_t>(value);
    case StoredType::i32:
      return std::in_range<std::int32_t>(value);
    case StoredType::u64:
      return std::in_range<std::uint64_t>(value);
    case StoredType::i64:
      return std::in_range<std::int64_t>(value);
    default:
      return false;
  }
}

}  // namespace

void MetadataBuilder::add(std::string key, MetadataValue value, StoredType stored) {
  if (contains(key)) throw defect(key, "is added twice");
  metadata_.add(std::move(key), std::move(value), stored);
}

void MetadataBuilder::add_text(std::string key, std::string value) {
  add(std::move(key), std::string_view(texts_->single.emplace_back(std::move(value))),
      StoredType::text);
}

void MetadataBuilder::add_boolean(std::string key, bool value) {
  add(std::move(key), value, StoredType::boolean);
}

void MetadataBuilder::add_integer(std::string key, std::uint64_t value, StoredType stored) {
  if (!fits(value, stored)) throw defect(key, "has a value that its type does not hold");
  add(std::move(key), value, stored);
}

void MetadataBuilder::add_number(std::string key, double value, StoredType stored) {
  if (stored != StoredType::f32 && stored != StoredType::f64)
    throw defect(key, "has a type that does not hold numbers");
  if (stored == StoredType::f32) value = static_cast<float>(value);  // as it comes out of a file
  add(std::move(key), value, stored);
}

void MetadataBuilder::add_texts(std::string key, std::vector<std::string> values) {
  const auto& kept = texts_->lists.emplace_back(std::move(values));
  add(std::move(key),
      MetadataArray{.strings = {kept.begin(), kept.end()}, .stored = StoredType::text},
      StoredType::array);
}

void MetadataBuilder::add_integers(std::string key, std::vector<std::int64_t> values,
                                   StoredType element) {
  const bool fit = std::all_of(values.begin(), values.end(), [&](std::int64_t value) {
    return element == StoredType::boolean ? value == 0 || value == 1 : fits(value, element);
  });
  if (!fit) throw defect(key, "has a value that its type does not hold");
  add(std::move(key), MetadataArray{.integers = std::move(values), .stored = element},
      StoredType::array);
}

void MetadataBuilder::add_numbers(std::string key, std::vector<float> values) {
  add(std::move(key), MetadataArray{.numbers = std::move(values), .stored = StoredType::f32},
      StoredType::array);
}

Metadata MetadataBuilder::build(std::string source) {
  Metadata built(std::move(source), std::exchange(texts_, std::make_shared<Texts>()));
  for (const Metadata::Entry& entry : metadata_.entries())
    built.add(entry.key, entry.value, entry.stored);
  metadata_ = Metadata();
  return built;
}

}  // namespace malina::format
