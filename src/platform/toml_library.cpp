#include "platform/toml_library.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "base/text_file.h"
#include "base/utf8.h"

namespace malina::platform {

using base::Error;
using base::Fault;

namespace {

constexpr std::uint64_t kMostBytes = 1 << 20;
// "a.a.a = 1" is a table in a table in a table. The library limits every other kind of nesting, and
// frees tables by recursion, which takes the stack.
constexpr std::ptrdiff_t kMostDots = 4096;

// TOML has no control characters but tabs and line ends, in comments neither.
void check_characters(std::string_view text, const std::string& label) {
  std::size_t line = 1;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') ++line;
    if ((byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7F)
      throw Error(Fault::invalid_argument,
                  fmt::format("{}:{}: this is not TOML: it has the control character {:#04x}",
                              label, line, byte));
  }
}

}  // namespace

void fail_at(const std::string& label, const toml::source_region& source,
             const std::string& message) {
  throw Error(Fault::invalid_argument, fmt::format("{}:{}: {}", label, source.begin.line, message));
}

std::string quoted(const toml::node& node) {
  constexpr std::size_t kMost = 60;
  std::ostringstream stream;
  node.visit([&](const auto& value) {
    using Value = std::remove_cvref_t<decltype(value)>;
    if constexpr (toml::is_table<Value>)
      stream << "a table";
    else if constexpr (toml::is_array<Value>)
      stream << "a list";
    else
      stream << value;
  });
  std::string text = stream.str();
  if (text.size() <= kMost) return text;
  return std::string(base::whole_characters(text, kMost)) + "...";
}

toml::table parse_toml(std::string_view text, const std::string& label) {
  check_characters(text, label);
  if (std::count(text.begin(), text.end(), '.') > kMostDots)
    throw Error(Fault::invalid_argument,
                fmt::format("{}:1: it has more than {} dots, and each may begin a table inside of "
                            "another",
                            label, kMostDots));
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    fail_at(label, error.source(), fmt::format("this is not TOML: {}", error.description()));
  }
}

std::string read_toml_file(const std::filesystem::path& path) {
  const base::File file = base::File::open(path);
  struct stat facts{};
  if (fstat(file.descriptor(), &facts) != 0)
    throw base::system_error("cannot examine " + file.name());
  // It says where the program listens, with whose key, and where it may send texts.
  if ((facts.st_mode & S_IWOTH) != 0)
    throw Error(Fault::invalid_argument,
                fmt::format("{} is not read: every user of this machine may change it (its mode is "
                            "{:04o}); 'chmod o-w' it",
                            file.name(), facts.st_mode & 07777));
  const std::uint64_t size = file.size();
  if (size > kMostBytes)
    throw Error(Fault::invalid_argument,
                fmt::format("{} has {} bytes, and a configuration file has at most {}", file.name(),
                            size, kMostBytes));
  return base::read_text(file, size);
}

}  // namespace malina::platform
