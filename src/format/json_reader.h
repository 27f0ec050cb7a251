// JSON of a hostile file, bounded before it is built.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace malina::format {

struct JsonLimits {
  std::size_t bytes = std::size_t{4} << 20;   // of the text
  std::size_t values = std::size_t{1} << 18;  // of all kinds, keys not counted
  std::size_t depth = 64;                     // objects and arrays in each other
};

// `name` is the file's, for messages. Throws base::Error: corrupt_file where the text is not JSON
// (with the byte), is not UTF-8 or gives a key of an object twice; unsupported where it goes beyond
// the limits.
nlohmann::json parse_json(std::string_view text, const std::string& name,
                          const JsonLimits& limits = {});

// The same of a file. Throws also what base::File throws.
nlohmann::json read_json_file(const std::filesystem::path& path, const JsonLimits& limits = {});

}  // namespace malina::format
