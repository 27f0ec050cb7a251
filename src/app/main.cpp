// Finds the command, runs it, and turns what it throws into one line and an exit code
// (docs/reference/exit-codes.md).
#include <CLI/Error.hpp>
#include <algorithm>
#include <clocale>
#include <csignal>
#include <filesystem>
#include <new>

#include "app/command.h"
#include "base/error.h"
#include "base/near_match.h"
#include "serve/server.h"

namespace malina::app {

namespace {

using base::Error;
using base::Fault;

constexpr std::string_view kProgramHelp =
    R"(malina runs, serves, tunes and measures small language models on this machine.

Usage: malina COMMAND [ARGUMENTS] [OPTIONS]

Commands:
{}
Examples:
  malina import SmolLM2-135M-Instruct.Q4_1.gguf    put a model into the store
  malina pull hf:OWNER/REPO-GGUF:Q4_K_M             or download one
  malina list                                      see what is there
  malina run smollm2-135m-instruct "Why is the sky blue?"

'malina COMMAND --help' shows a command's options with examples. Models are kept in the folder that
MALINA_HOME names, by default ~/.local/share/malina.
)";

std::string program_help() {
  std::vector<std::vector<std::string>> rows;
  for (const Command* command : commands())
    rows.push_back({"  " + std::string(command->name), std::string(command->summary)});
  std::sort(rows.begin(), rows.end());
  return fmt::format(kProgramHelp, table(rows));
}

const Command& find_command(std::string_view name) {
  std::vector<std::string> names;
  for (const Command* command : commands()) {
    if (command->name == name) return *command;
    names.emplace_back(command->name);
  }
  throw Error(Fault::invalid_argument,
              fmt::format("there is no command '{}'{}", name,
                          name.starts_with('-') ? "; options come after a command"
                                                : base::did_you_mean(name, names)) +
                  (base::near_matches(name, names).empty() ? "; 'malina --help' lists them" : ""));
}

[[noreturn]] void refuse_extra(const CLI::App& parser, const std::string& extra) {
  const std::string help = "; see '" + full_name(parser) + " --help'";
  std::vector<std::string> verbs;
  for (const CLI::App* verb : parser.get_subcommands({})) verbs.push_back(verb->get_name());
  if (!verbs.empty() && !extra.starts_with('-')) {
    const std::string near = base::did_you_mean(extra, verbs);
    throw Error(Fault::invalid_argument, fmt::format("'{}' has no verb '{}'{}", full_name(parser),
                                                     extra, near.empty() ? help : near));
  }
  if (!extra.starts_with('-') || extra == "-")
    throw Error(Fault::invalid_argument, "unexpected argument '" + extra + "'" + help);
  std::vector<std::string> known;
  for (const CLI::Option* option : parser.get_options())
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  const std::string word = extra.substr(0, extra.find('='));
  // Known, and yet left over: it stands after a "--".
  if (std::ranges::find(known, word) != known.end())
    throw Error(Fault::invalid_argument, "unexpected argument '" + extra + "' after --" + help);
  const std::string near = base::did_you_mean(word, known);
  throw Error(Fault::invalid_argument,
              "unknown option '" + word + "'" + (near.empty() ? help : near) +
                  (word.starts_with("--") ? "" : " (put -- before text that begins with a dash)"));
}

int run_command(const Command& command, std::vector<std::string> arguments, Console& console) {
  Action action;
  const auto parser = make_parser(command, action);
  try {
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    parser->parse(arguments);
  } catch (const CLI::CallForHelp&) {
    console.write(parser->help());
    return 0;
  } catch (const CLI::ParseError& error) {
    throw Error(Fault::invalid_argument, std::string(error.what()) + "; see '" +
                                             full_name(parsed_verb(*parser)) + " --help'");
  }
  for (const std::string& extra : parser->remaining(true))
    if (extra != "--") refuse_extra(parsed_verb(*parser), extra);
  Session session(console, serve::run);
  action(session);
  return 0;
}

int run(std::vector<std::string> arguments, Console& console) {
  if (arguments.empty()) {
    console.status(program_help());
    return base::exit_code(Fault::invalid_argument);
  }
  const std::string first = arguments.front();
  if (first == "--version" || first == "-V") {
    console.print("malina {}\n", MALINA_VERSION);
    return 0;
  }
  if (first == "--help" || first == "-h" || (first == "help" && arguments.size() == 1)) {
    console.write(program_help());
    return 0;
  }
  arguments.erase(arguments.begin());
  if (first == "help") {
    const Command& command = find_command(arguments.front());
    arguments.erase(arguments.begin());  // what is left may name a verb
    arguments.emplace_back("--help");
    return run_command(command, std::move(arguments), console);
  }
  return run_command(find_command(first), std::move(arguments), console);
}

int report(Console& console, Fault fault, std::string_view message) {
  console.error_line(message);
  return base::exit_code(fault);
}

// The edge where every failure of a command ends.
int guarded(std::vector<std::string> arguments, Console& console) {
  try {
    const int code = run(std::move(arguments), console);
    console.flush();
    return code;
  } catch (const ClosedPipe&) {
    return 0;
  } catch (const Error& error) {
    try {
      console.flush();  // what was reported before the failure
    } catch (...) {
    }
    return report(console, error.fault(), error.what());
  } catch (const std::bad_alloc&) {
    return report(console, Fault::out_of_memory, "not enough memory");
  } catch (const std::filesystem::filesystem_error& error) {
    return report(console, Fault::io,
                  fmt::format("cannot use {}: {}", error.path1().string(), error.code().message()));
  } catch (const std::exception& error) {
    return report(console, Fault::internal,
                  fmt::format("this is a defect of malina, please report it: {}", error.what()));
  }
}

}  // namespace

}  // namespace malina::app

int main(int count, char** values) {
  // A closed pipe or a file size limit is an error of one write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  // The program speaks UTF-8 everywhere; the line editor would drop what is not ASCII otherwise.
  std::setlocale(LC_CTYPE, "C.UTF-8");
  malina::app::Console console;
  return malina::app::guarded({values + std::min(count, 1), values + count}, console);
}
