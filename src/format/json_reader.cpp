#include "format/json_reader.h"

#include <fmt/format.h>

#include <span>

#include "base/error.h"
#include "base/file.h"
#include "base/text_file.h"

namespace malina::format {

using nlohmann::json;

json parse_json(std::string_view text, const std::string& name, const JsonLimits& limits) {
  return base::parse_json<json>(text, name, limits);
}

json read_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  return parse_json(base::read_small_file(path, limits.bytes), path.string(), limits);
}

}  // namespace malina::format
