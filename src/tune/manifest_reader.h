// A manifest that is read key by key; what is missing or wrong is said with its key.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace malina::tune {

// Borrows both. Throws base::Error(corrupt_file).
class ManifestReader {
 public:
  ManifestReader(const nlohmann::ordered_json& json, const std::string& name)
      : json_(json), name_(name) {}

  const nlohmann::ordered_json& at(std::string_view key,
                                   nlohmann::ordered_json::value_t type) const {
    const auto found = json_.is_object() ? json_.find(key) : json_.end();
    if (found == json_.end()) fail(key, "is missing");
    const bool number = type == nlohmann::ordered_json::value_t::number_float && found->is_number();
    if (!number && found->type() != type) fail(key, "has the wrong type");
    return *found;
  }
  // Of any type.
  const nlohmann::ordered_json& member(std::string_view key) const {
    const auto found = json_.is_object() ? json_.find(key) : json_.end();
    if (found == json_.end()) fail(key, "is missing");
    return *found;
  }
  const std::string& name() const { return name_; }
  std::string text(std::string_view key) const {
    return at(key, nlohmann::ordered_json::value_t::string);
  }
  bool flag(std::string_view key) const {
    return at(key, nlohmann::ordered_json::value_t::boolean);
  }
  double number(std::string_view key, double low, double high) const {
    const double value = at(key, nlohmann::ordered_json::value_t::number_float);
    if (!(value >= low && value <= high))
      fail(key, fmt::format("is not between {} and {}", low, high));
    return value;
  }
  ManifestReader object(std::string_view key) const {
    return {at(key, nlohmann::ordered_json::value_t::object), name_};
  }
  [[noreturn]] void fail(std::string_view key, std::string_view what) const {
    throw base::Error(base::Fault::corrupt_file, fmt::format("{}: '{}' {}", name_, key, what));
  }

 private:
  const nlohmann::ordered_json& json_;
  const std::string& name_;
};

}  // namespace malina::tune
