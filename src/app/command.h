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
#include <string>
#include <string_view>
#include <utility>

#include "app/console.h"
#include "platform/platform.h"
#include "platform/service.h"
#include "platform/settings.h"

namespace malina::app {

// What a command runs with.
class Session {
 public:
  // Serves until it is told to stop. Passed from main: commands do not reach up to the server.
  using Server = std::function<void(platform::Service& service, const platform::ServerSettings& settings,
                                    const std::function<void(const std::string& url)>& ready)>;

  explicit Session(Console& console, Server server = {})
      : console_(console), server_(std::move(server)) {}
  Console& console() { return console_; }
  // Built at first use, since `completion` needs none: with the settings of the environment and the
  // configuration file, unless use() gave it others.
  platform::Platform& platform();
  void use(const platform::LoadedSettings& settings);
  const Server& server() const { return server_; }

 private:
  Console& console_;
  Server server_;
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

// One of several things that a command does: `malina key create` is the verb `create` of `key`.
// Fields as a command's.
struct Verb {
  std::string_view name, summary, details, examples;
  Action (*setup)(CLI::App& options) = nullptr;
};
// For a command's setup: declares its verbs. The action does what the verb that was parsed does.
Action add_verbs(CLI::App& command, std::span<const Verb> verbs);
// The parser of the verb that was parsed, or `parser` itself where it has none or none was given.
const CLI::App& parsed_verb(const CLI::App& parser);
std::string summary_of(const CLI::App& parser);  // a command's or a verb's summary
// "malina key create", as the user typed it.
std::string full_name(const CLI::App& parser);

// All commands, by file name; collected from app/commands.
std::span<const Command* const> commands();

// The parser of one command: "malina import". Used to run it, for its help and for shell
// completion.
std::unique_ptr<CLI::App> make_parser(const Command& command, Action& action);

}  // namespace malina::app
