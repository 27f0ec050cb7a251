// The parser of a command, and how its --help looks.
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <limits>

#include "app/command.h"
#include "app/number_checks.h"

namespace malina::app {

namespace {

constexpr std::size_t kColumn = 26;  // where descriptions begin
constexpr std::size_t kWidth = 100;

// The parser's word for a value's type, in plain words: "UINT:POSITIVE" is N, "TEXT:{a,b}" is a|b.
std::string type_word(const CLI::Option& option) {
  std::string word = option.get_type_name();
  const std::size_t open = word.find('{');
  const std::size_t close = word.find('}');
  if (open != std::string::npos && close != std::string::npos && open < close) {
    word = word.substr(open + 1, close - open - 1);
    std::replace(word.begin(), word.end(), ',', '|');
    return word;
  }
  word = word.substr(0, word.find_first_of(": "));
  if (word == "UINT" || word == "INT") return "N";
  return word == "FLOAT" ? "X" : word;
}

// Breaks at spaces, so that no line is longer than the page; what follows is indented to the
// column.
std::string wrapped(std::string_view text) {
  const std::size_t room = kWidth - kColumn;
  std::string result;
  while (text.size() > room) {
    const std::size_t space = text.rfind(' ', room);
    if (space == std::string_view::npos || space == 0) break;
    result.append(text.substr(0, space)).append("\n").append(kColumn, ' ');
    text.remove_prefix(space + 1);
  }
  return result.append(text);
}

// "Usage: malina import FILE [OPTIONS]", then each option with its type and default in plain words.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { label("Positionals", "Arguments"); }

  std::string make_usage(const CLI::App* app, std::string name) const override {
    std::string usage = "\nUsage: " + name;
    for (const CLI::Option* option : positionals(app)) {
      const std::string word =
          option->get_name(true) + (option->get_items_expected_max() > 1 ? "..." : "");
      usage += option->get_required() ? " " + word : " [" + word + "]";
    }
    return usage + " [OPTIONS]\n";
  }

  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    std::string line = "  " + make_option_name(option, is_positional);
    if (option->get_type_size() != 0 && !is_positional) line += " " + type_word(*option);
    std::string description = option->get_description();
    if (!option->get_default_str().empty()) description += " (" + option->get_default_str() + ")";
    if (line.size() + 2 > kColumn) line += "\n";
    const std::size_t start = line.ends_with('\n') ? 0 : line.size();
    return line.append(kColumn - start, ' ') + wrapped(description) + "\n";
  }

 private:
  static std::vector<const CLI::Option*> positionals(const CLI::App* app) {
    return app->get_options([](const CLI::Option* option) { return option->get_positional(); });
  }
};

// Before CLI11 converts the value: its messages speak of types, and it wraps what is out of range.
void check_number(CLI::Option& option) {
  const std::string type = option.get_type_name();
  if (type == "UINT") option.check(whole_number(0, std::numeric_limits<std::uint64_t>::max()));
  if (type == "FLOAT") option.check(real_number());
}

}  // namespace

std::unique_ptr<CLI::App> make_parser(const Command& command, Action& action) {
  std::string description(command.summary);
  description += '.';
  if (!command.details.empty()) description.append("\n\n").append(command.details);
  auto parser = std::make_unique<CLI::App>(description, "malina " + std::string(command.name));
  parser->formatter(std::make_shared<HelpFormatter>());
  parser->set_help_flag("-h,--help", "Print this help");
  parser->footer("Examples:\n" + std::string(command.examples));
  parser->allow_extras();  // reported in main, with the nearest known option
  action = command.setup(*parser);
  for (CLI::Option* option : parser->get_options()) check_number(*option);
  // An option that may be repeated takes one value each time, and not the arguments that follow it.
  for (CLI::Option* option : parser->get_options([](const CLI::Option* each) {
         return !each->get_positional() && each->get_items_expected_max() > 1;
       }))
    option->allow_extra_args(false);
  return parser;
}

}  // namespace malina::app
