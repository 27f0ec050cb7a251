#include "base/text_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/error.h"

namespace malina::base {

std::string read_text(const File& file, std::uint64_t most_bytes) {
  std::string text(std::min(file.size(), most_bytes), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

std::string read_text(const std::filesystem::path& path) { return read_text(File::open(path)); }

std::string read_small_file(const std::filesystem::path& path, std::uint64_t largest_bytes) {
  const File file = File::open(path);
  if (const std::uint64_t size = file.size(); size > largest_bytes)
    throw Error(Fault::unsupported,
                fmt::format("{}: it has {} bytes, more than the {} that such a file may have",
                            file.name(), size, largest_bytes));
  return read_text(file, largest_bytes);
}

}  // namespace malina::base
