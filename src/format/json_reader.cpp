#include "format/json_reader.h"

#include <fmt/format.h>

#include <span>

#include "base/error.h"
#include "base/file.h"

namespace malina::format {

using nlohmann::json;

json parse_json(std::string_view text, const std::string& name, const JsonLimits& limits) {
  return base::parse_json<json>(text, name, limits);
}

json read_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  const base::File file = base::File::open(path);
  const std::uint64_t size = file.size();
  if (size > limits.bytes)
    throw base::Error(base::Fault::unsupported,
                      fmt::format("{}: it has {} bytes, more than the {} that such a file may have",
                                  file.name(), size, limits.bytes));
  std::string text(size, '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return parse_json(text, file.name(), limits);
}

}  // namespace malina::format
