#include "app/completion_script.h"

#include <algorithm>

#include "app/command.h"

namespace malina::app {

namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] != separator) continue;
    parts.push_back(text.substr(start, i - start));
    start = i + 1;
  }
  return parts;
}

// From the word that --help shows for the value.
Completion completion_of(const std::string& word) {
  using Kind = Completion::Kind;
  if (word == "FILE") return {Kind::file, {}};
  if (word == "MODEL") return {Kind::model, {}};
  // A check against a set of values shows them as "TEXT:{a,b}".
  const std::size_t open = word.find('{');
  const std::size_t close = word.find('}');
  if (open != std::string::npos && close != std::string::npos && open < close)
    return {Kind::choice, split(word.substr(open + 1, close - open - 1), ',')};
  if (word.find('|') != std::string::npos) return {Kind::choice, split(word, '|')};
  return {};
}

CompletedOption option_of(const CLI::Option& option) {
  CompletedOption result;
  result.name = "--" + option.get_lnames().front();
  if (!option.get_snames().empty()) result.short_name = "-" + option.get_snames().front();
  result.description = option.get_description();
  result.takes_value = option.get_type_size() != 0 && option.get_items_expected_max() != 0;
  if (result.takes_value) result.value = completion_of(option.get_type_name());
  return result;
}

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

// For text between single quotes of any of the three shells' scripts.
std::string quoted(std::string text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

std::string bash_value(const Completion& value) {
  switch (value.kind) {
    case Completion::Kind::file:
      return "_malina_files";
    case Completion::Kind::model:
      return "_malina_models";
    case Completion::Kind::choice:
      return "_malina_words " + quoted(joined(value.choices));
    case Completion::Kind::nothing:
      break;
  }
  return ":";
}

// `place` is where the command's name stands among the words: 1, or 2 of a verb.
std::string bash_command(const CompletedCommand& command, int place = 1) {
  if (!command.verbs.empty()) {
    std::vector<std::string> verbs;
    std::string cases;
    for (const CompletedCommand& verb : command.verbs) {
      verbs.push_back(verb.name);
      cases += bash_command(verb, place + 1);
    }
    return fmt::format(
        "    {0})\n      if ((COMP_CWORD == {1})); then _malina_words {2}; return; fi\n"
        "      case \"${{COMP_WORDS[{1}]}}\" in\n{3}      esac ;;\n",
        command.name, place + 1, quoted(joined(verbs) + " --help"), cases);
  }
  std::vector<std::string> names, with_value;
  std::string values;
  for (const CompletedOption& option : command.options) {
    names.push_back(option.name);
    if (!option.takes_value) continue;
    with_value.push_back(option.name);
    const std::string pattern = option.short_name.empty() ? "" : option.short_name + "|";
    values += fmt::format("        {}{}) {}; return ;;\n", pattern, option.name,
                          bash_value(option.value));
  }
  std::string positionals;
  for (std::size_t i = 0; i < command.positionals.size(); ++i)
    positionals += fmt::format("        {}) {} ;;\n", i, bash_value(command.positionals[i]));
  return fmt::format(
      "    {})\n      case \"$previous\" in\n{}      esac\n"
      "      if [[ $word == -* ]]; then _malina_words {}; return; fi\n"
      "      case $(_malina_position {} {}) in\n{}      esac ;;\n",
      command.name, values, quoted(joined(names)), place + 1, quoted(joined(with_value)),
      positionals);
}

// _arguments takes "[description]" and ":message:action"; both need their brackets and colons
// escaped.
std::string zsh_escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

std::string zsh_value(const Completion& value) {
  switch (value.kind) {
    case Completion::Kind::file:
      return ":file:_files";
    case Completion::Kind::model:
      return ":model:_malina_models";
    case Completion::Kind::choice:
      return ":value:(" + joined(value.choices) + ")";
    case Completion::Kind::nothing:
      break;
  }
  return ":value: ";
}

std::string zsh_command(const CompletedCommand& command) {
  if (!command.verbs.empty()) {
    std::string names, cases;
    for (const CompletedCommand& verb : command.verbs) {
      names += " " + quoted(verb.name + ":" + zsh_escaped(verb.summary));
      cases += zsh_command(verb);
    }
    return fmt::format(
        "    {})\n      if (( CURRENT == 2 )); then\n        local -a verbs\n        verbs=({})\n"
        "        _describe verb verbs\n        return\n      fi\n      local verb=$words[2]\n"
        "      shift words\n      (( CURRENT-- ))\n      case $verb in\n{}      esac ;;\n",
        command.name, names, cases);
  }
  std::string text = fmt::format("    {})\n      _arguments", command.name);
  for (const CompletedOption& option : command.options) {
    const std::string rest = "[" + zsh_escaped(option.description) + "]" +
                             (option.takes_value ? zsh_value(option.value) : "");
    text += " \\\n        " + quoted(option.name + rest);
    if (!option.short_name.empty()) text += " " + quoted(option.short_name + rest);
  }
  for (std::size_t i = 0; i < command.positionals.size(); ++i)
    text += " \\\n        " + quoted(std::to_string(i + 1) + zsh_value(command.positionals[i]));
  return text + " ;;\n";
}

std::string fish_value(const Completion& value) {
  switch (value.kind) {
    case Completion::Kind::file:
      return " -F";
    case Completion::Kind::model:
      return " -fa '(malina list --names 2>/dev/null)' -F";
    case Completion::Kind::choice:
      return " -fa " + quoted(joined(value.choices));
    case Completion::Kind::nothing:
      break;
  }
  return " -f";
}

// Options and positionals that stand behind `condition`, the command that was typed.
std::string fish_options(const CompletedCommand& command, const std::string& condition) {
  std::string text;
  for (const CompletedOption& option : command.options) {
    text += fmt::format("{} -l {}", condition, option.name.substr(2));
    if (!option.short_name.empty()) text += " -s " + option.short_name.substr(1);
    if (option.takes_value) text += " -r" + fish_value(option.value);
    text += " -d " + quoted(option.description) + "\n";
  }
  for (const Completion& positional : command.positionals)
    if (positional.kind != Completion::Kind::nothing)
      text += condition + fish_value(positional) + "\n";
  return text;
}

std::string fish_command(const CompletedCommand& command) {
  const std::string seen = "__fish_seen_subcommand_from ";
  if (command.verbs.empty())
    return fish_options(command, "complete -c malina -n '" + seen + command.name + "'");
  std::vector<std::string> names;
  for (const CompletedCommand& verb : command.verbs) names.push_back(verb.name);
  std::string text;
  for (const CompletedCommand& verb : command.verbs) {
    text += fmt::format("complete -c malina -n '{0}{1}; and not {0}{2}' -a {3} -d {4}\n", seen,
                        command.name, joined(names), verb.name, quoted(verb.summary));
    text += fish_options(verb, fmt::format("complete -c malina -n '{0}{1}; and {0}{2}'", seen,
                                           command.name, verb.name));
  }
  return text;
}

CompletedCommand completed(const CLI::App& parser, std::string name, std::string summary) {
  CompletedCommand result{.name = std::move(name),
                          .summary = std::move(summary),
                          .options = {},
                          .positionals = {},
                          .verbs = {}};
  for (const CLI::Option* option : parser.get_options()) {
    if (option->get_positional()) {
      const std::string word = option->get_name(true);
      result.positionals.push_back(completion_of(
          option->get_type_name().find('|') == std::string::npos ? word : option->get_type_name()));
    } else if (!option->get_lnames().empty()) {
      result.options.push_back(option_of(*option));
    }
  }
  for (const CLI::App* verb : parser.get_subcommands({}))
    result.verbs.push_back(completed(*verb, verb->get_name(), summary_of(*verb)));
  return result;
}

}  // namespace

std::vector<CompletedCommand> completed_commands() {
  std::vector<CompletedCommand> result;
  for (const Command* command : commands()) {
    Action action;
    const auto parser = make_parser(*command, action);
    result.push_back(completed(*parser, std::string(command->name), std::string(command->summary)));
  }
  std::sort(result.begin(), result.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return result;
}

std::string bash_script(const std::vector<CompletedCommand>& commands) {
  std::string names, cases;
  for (const CompletedCommand& command : commands) {
    names += command.name + " ";
    cases += bash_command(command);
  }
  return R"sh(# bash completion of malina, made by 'malina completion bash'
_malina_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$word"); }
_malina_files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word"); }
_malina_models() {
  _malina_files
  local names
  mapfile -t names < <(compgen -W "$("${COMP_WORDS[0]}" list --names 2>/dev/null)" -- "$word")
  COMPREPLY=("${names[@]}" "${COMPREPLY[@]}")
}
# How many positionals stand before the cursor; $1: where they begin, $2: the options that take a value.
_malina_position() {
  local i position=0
  for ((i = $1; i < COMP_CWORD; i++)); do
    case "${COMP_WORDS[i]}" in
      -*) [[ " $2 " == *" ${COMP_WORDS[i]} "* ]] && ((i++)) ;;
      *) ((position++)) ;;
    esac
  done
  echo "$position"
}
_malina() {
  local word="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD - 1]}"
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    _malina_words ")sh" +
         names + R"sh(help --help --version"
    return
  fi
  case "${COMP_WORDS[1]}" in
)sh" + cases +
         R"sh(  esac
}
complete -F _malina malina
)sh";
}

std::string zsh_script(const std::vector<CompletedCommand>& commands) {
  std::string names, cases;
  for (const CompletedCommand& command : commands) {
    names += "    " + quoted(command.name + ":" + zsh_escaped(command.summary)) + "\n";
    cases += zsh_command(command);
  }
  return R"sh(#compdef malina
# zsh completion of malina, made by 'malina completion zsh'
_malina_models() {
  local -a names
  names=(${(f)"$(malina list --names 2>/dev/null)"})
  (( $#names )) && compadd -a names
  _files
}
_malina() {
  local -a commands
  commands=(
)sh" + names +
         R"sh(  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
)sh" + cases +
         R"sh(  esac
}
if [[ $funcstack[1] == _malina ]]; then _malina "$@"; else compdef _malina malina; fi
)sh";
}

std::string fish_script(const std::vector<CompletedCommand>& commands) {
  std::string text =
      "# fish completion of malina, made by 'malina completion fish'\n"
      "complete -c malina -f\n"
      "complete -c malina -n __fish_use_subcommand -l help -d 'Print this help'\n"
      "complete -c malina -n __fish_use_subcommand -l version -d 'Print the version'\n";
  for (const CompletedCommand& command : commands) {
    text += fmt::format("complete -c malina -n __fish_use_subcommand -a {} -d {}\n", command.name,
                        quoted(command.summary));
    text += fish_command(command);
  }
  return text;
}

}  // namespace malina::app
