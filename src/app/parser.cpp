// The parser of a command, and how its --help looks.
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "app/command.h"

namespace malina::app {

namespace {

// "Usage: malina import FILE [OPTIONS]", then each option with its type and default in plain words.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() {
    column_width(26);
    label("Positionals", "Arguments");
  }

  std::string make_usage(const CLI::App* app, std::string name) const override {
    std::string usage = "\nUsage: " + name;
    for (const CLI::Option* option : positionals(app)) {
      const std::string word =
          option->get_name(true) + (option->get_items_expected_max() > 1 ? "..." : "");
      usage += option->get_required() ? " " + word : " [" + word + "]";
    }
    return usage + " [OPTIONS]\n";
  }

  std::string make_option_opts(const CLI::Option* option) const override {
    std::string text;
    if (option->get_type_size() != 0 && !option->get_positional())
      text += " " + option->get_type_name();
    if (!option->get_default_str().empty()) text += " (" + option->get_default_str() + ")";
    return text;
  }

 private:
  static std::vector<const CLI::Option*> positionals(const CLI::App* app) {
    return app->get_options([](const CLI::Option* option) { return option->get_positional(); });
  }
};

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
  return parser;
}

}  // namespace malina::app
