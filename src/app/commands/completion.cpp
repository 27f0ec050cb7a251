// malina completion: a script that teaches a shell the commands, options and model names.
#include "app/command.h"
#include "app/completion_script.h"
#include "base/error.h"

namespace malina::app {

namespace {

void run(const std::string& shell, Session& session) {
  const auto commands = completed_commands();
  if (shell == "bash")
    session.console().write(bash_script(commands));
  else if (shell == "zsh")
    session.console().write(zsh_script(commands));
  else if (shell == "fish")
    session.console().write(fish_script(commands));
  else
    throw base::Error(base::Fault::invalid_argument,
                      "no completion for the shell '" + shell + "': choose bash, zsh or fish");
}

Action setup(CLI::App& options) {
  auto shell = std::make_shared<std::string>();
  options.add_option("SHELL", *shell, "bash, zsh or fish")->type_name("bash|zsh|fish")->required();
  return [shell](Session& session) { run(*shell, session); };
}

}  // namespace

extern const Command completion{
    .name = "completion",
    .summary = "Print a completion script for bash, zsh or fish",
    .details = "It completes commands, options, the names of models in the store, and files.",
    .examples =
        "  source <(malina completion bash)                   in ~/.bashrc\n"
        "  malina completion zsh > \"${fpath[1]}/_malina\"\n"
        "  malina completion fish > ~/.config/fish/completions/malina.fish\n",
    .setup = setup};

}  // namespace malina::app
