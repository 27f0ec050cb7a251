// Standard output and error of the program.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace malina::app {

using Json = nlohmann::ordered_json;

// Thrown by Console where the reader of standard output is gone: the program ends quietly.
struct ClosedPipe {};

enum class Style { bold, dim, red, green, yellow };

class Console {
 public:
  Console();

  // To standard output, buffered. A full disk and the like throw base::Error(io).
  void write(std::string_view bytes);
  template <typename... Arguments>
  void print(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    write(fmt::format(format, std::forward<Arguments>(arguments)...));
  }
  void json(const Json& value);       // indented, over several lines
  void json_line(const Json& value);  // on one line
  void flush();

  // To standard error, at once; never throws.
  void error_line(std::string_view message);  // "malina: message", always one line
  void status(std::string_view bytes);        // as it is

  bool output_is_terminal() const { return output_is_terminal_; }
  bool error_is_terminal() const { return error_is_terminal_; }
  bool input_is_terminal() const { return input_is_terminal_; }
  // Coloured where standard output is a terminal and NO_COLOR is not set; otherwise the text alone.
  std::string styled(Style style, std::string_view text) const;

 private:
  bool output_is_terminal_, error_is_terminal_, input_is_terminal_, colour_;
};

// Text of foreign origin for a terminal: control characters and bytes that are not UTF-8 are
// written as \n, \t, \x1b, so that nothing in a model's file can move the cursor or change colours.
std::string printable(std::string_view text);

std::string human_bytes(std::uint64_t bytes);  // "98.4 MB"
std::string human_count(std::uint64_t count);  // "134.5 million"
std::string utc_time(std::int64_t seconds);    // "2024-06-01T12:00:00Z"
std::string grouped(std::uint64_t number);     // "98,362,432"

// Left-aligned columns as wide as their widest cell; `right` names columns (by index) aligned
// right.
std::string table(const std::vector<std::vector<std::string>>& rows,
                  const std::vector<std::size_t>& right = {});

}  // namespace malina::app
