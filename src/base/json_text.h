// JSON of foreign origin, bounded before it is built.
#pragma once

#include <cstddef>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace malina::base {

struct JsonLimits {
  std::size_t bytes = std::size_t{4} << 20;   // of the text
  std::size_t values = std::size_t{1} << 18;  // of all kinds, keys not counted
  std::size_t depth = 64;                     // objects and arrays in each other
  // Of one object. To be set where members keep their order: finding one takes a search then.
  std::size_t members = std::numeric_limits<std::size_t>::max();
};

// Json: nlohmann::json or nlohmann::ordered_json. `name` is the file's, for messages. Throws
// base::Error: corrupt_file where the text is not JSON (with the byte), is not UTF-8 or gives a key
// of an object twice; unsupported where it goes beyond the limits.
template <class Json>
Json parse_json(std::string_view text, const std::string& name, const JsonLimits& limits);

}  // namespace malina::base
