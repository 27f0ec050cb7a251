// The parser of a command, and how its --help looks.
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <limits>

#include "app/command.h"
#include "app/number_checks.h"
#include "base/error.h"

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
    if (!app->get_subcommands({}).empty()) return usage + " VERB [ARGUMENTS] [OPTIONS]\n";
    for (const CLI::Option* option : positionals(app)) {
      const std::string word =
          option->get_name(true) + (option->get_items_expected_max() > 1 ? "..." : "");
      usage += option->get_required() ? " " + word : " [" + word + "]";
    }
    return usage + " [OPTIONS]\n";
  }

  std::string make_subcommand(const CLI::App* verb) const override {
    const std::string line = "  " + verb->get_name();
    return line + std::string(kColumn - std::min(line.size(), kColumn - 1), ' ') +
           wrapped(summary_of(*verb)) + "\n";
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

// What a parser of a command or of a verb says of itself.
void introduce(CLI::App& parser, std::string_view summary, std::string_view details,
               std::string_view examples) {
  std::string description = std::string(summary) + ".";
  if (!details.empty()) description.append("\n\n").append(details);
  parser.description(description);
  parser.formatter(std::make_shared<HelpFormatter>());
  parser.set_help_flag("-h,--help", "Print this help");
  parser.footer("Examples:\n" + std::string(examples));
  parser.allow_extras();  // reported in main, with the nearest known option
}

void check_options(CLI::App& parser) {
  for (CLI::Option* option : parser.get_options()) check_number(*option);
  // An option that may be repeated takes one value each time, and not the arguments that follow it.
  for (CLI::Option* option : parser.get_options([](const CLI::Option* each) {
         return !each->get_positional() && each->get_items_expected_max() > 1;
       }))
    option->allow_extra_args(false);
}

}  // namespace

std::unique_ptr<CLI::App> make_parser(const Command& command, Action& action) {
  auto parser = std::make_unique<CLI::App>("", "malina " + std::string(command.name));
  introduce(*parser, command.summary, command.details, command.examples);
  action = command.setup(*parser);
  check_options(*parser);
  return parser;
}

Action add_verbs(CLI::App& command, std::span<const Verb> verbs) {
  std::vector<std::pair<const CLI::App*, Action>> actions;
  std::vector<std::string> names;
  for (const Verb& verb : verbs) {
    CLI::App* const parser = command.add_subcommand(std::string(verb.name));
    parser->group("Verbs");
    introduce(*parser, verb.summary, verb.details, verb.examples);
    actions.emplace_back(parser, verb.setup(*parser));
    check_options(*parser);
    names.emplace_back(verb.name);
  }
  return [actions = std::move(actions), name = command.get_name(),
          known = fmt::format("{}", fmt::join(names, ", "))](Session& session) {
    for (const auto& [parser, action] : actions)
      if (parser->parsed()) return action(session);
    throw base::Error(base::Fault::invalid_argument,
                      fmt::format("'{0}' needs a verb: {1}; see '{0} --help'", name, known));
  };
}

const CLI::App& parsed_verb(const CLI::App& parser) {
  const auto parsed = parser.get_subcommands();
  return parsed.empty() ? parser : *parsed.front();
}

std::string summary_of(const CLI::App& parser) {
  const std::string description = parser.get_description();
  std::string line = description.substr(0, description.find('\n'));
  if (line.ends_with('.')) line.pop_back();
  return line;
}

std::string full_name(const CLI::App& parser) {
  const CLI::App* const command = parser.get_parent();
  return (command == nullptr ? "" : command->get_name() + " ") + parser.get_name();
}

}  // namespace malina::app
