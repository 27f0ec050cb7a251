// Shell completion made from the parsers of the commands, so that it never lags behind them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace malina::app {

// What a word on the command line may be.
struct Completion {
  enum class Kind { nothing, file, model, choice };
  Kind kind = Kind::nothing;
  std::vector<std::string> choices;
};

struct CompletedOption {
  std::string name, short_name;  // "--name", and "-n" or ""
  std::string description;
  bool takes_value = false;
  Completion value;
};

struct CompletedCommand {
  std::string name, summary;
  std::vector<CompletedOption> options;
  std::vector<Completion> positionals;
  std::vector<CompletedCommand> verbs;  // of `malina key`, say; it has no positionals then
};

std::vector<CompletedCommand> completed_commands();

std::string bash_script(const std::vector<CompletedCommand>& commands);
std::string zsh_script(const std::vector<CompletedCommand>& commands);
std::string fish_script(const std::vector<CompletedCommand>& commands);

}  // namespace malina::app
