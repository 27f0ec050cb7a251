// A command is one constant in one file of app/commands:
//
//   struct Options { std::string name; };
//
//   Action setup(CLI::App& options) {
//     auto chosen = std::make_shared<Options>();
//     options.add_option("NAME", chosen->name, "The model to remove")->required();
//     return [chosen](Session& session) { session.platform().remove_model(chosen->name); };
//   }
//
//   extern const Command remove{.name = "remove", .summary = "...", .examples = "...", .setup =
//   setup};
//
// The constant bears the file's name; the command may have another (`import` is import_model.cpp).
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "app/console.h"
#include "platform/platform.h"

namespace malina::app {

// What a command runs with.
class Session {
 public:
  explicit Session(Console& console) : console_(console) {}
  Console& console() { return console_; }
  platform::Platform& platform();  // built at first use: `completion` needs none

 private:
  Console& console_;
  std::optional<platform::Platform> platform_;
};

using Action = std::function<void(Session&)>;

struct Command {
  std::string_view name;
  std::string_view summary;   // one line, without a full stop
  std::string_view details;   // further lines of --help; may be empty
  std::string_view examples;  // lines of --help that can be typed as they stand
  // Declares options and positionals, and returns what is to be done when they have been parsed.
  // Names of positionals and of option types tell the shell what to complete: MODEL and FILE are
  // known, and alternatives are written a|b|c.
  Action (*setup)(CLI::App& options) = nullptr;
};

// All commands, by file name; collected from app/commands.
std::span<const Command* const> commands();

// The parser of one command: "malina import". Used to run it, for its help and for shell
// completion.
std::unique_ptr<CLI::App> make_parser(const Command& command, Action& action);

}  // namespace malina::app
