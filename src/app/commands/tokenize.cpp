// malina tokenize: text to token ids and pieces, and back.
#include "app/command.h"
#include "app/generation_json.h"
#include "app/generation_options.h"
#include "base/error.h"

namespace malina::app {

namespace {

using base::Error;
using base::Fault;

struct Options {
  std::string model;
  std::optional<std::string> text;
  bool lines = false, ids = false, bos = false, special = false, decode = false, json = false;
};

// Calls `take` for each line without its newline; a last line need not have one.
template <typename Take>
void for_lines(std::string_view text, Take take) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    take(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

void print_tokens(const Options& options, const platform::TokenizedText& tokens, Console& console) {
  if (options.json) {
    console.json_line(
        {{"count", tokens.ids.size()}, {"ids", tokens.ids}, {"pieces", tokens.pieces}});
  } else if (options.ids) {
    console.print("{}\n", fmt::join(tokens.ids, " "));
  } else {
    for (std::size_t i = 0; i < tokens.ids.size(); ++i)
      console.print("{:>8}  {}\n", tokens.ids[i], printable(tokens.pieces[i]));
  }
}

void run(const Options& options, Session& session) {
  platform::Platform& platform = session.platform();
  Console& console = session.console();
  const std::string text = options.text ? *options.text : read_standard_input();
  const auto one = [&](std::string_view part) {
    if (options.decode) {
      console.write(platform.detokenize(options.model, parse_token_ids(part), options.special));
      if (options.lines) console.write("\n");
    } else {
      print_tokens(
          options,
          platform.tokenize(options.model, part, {.bos = options.bos, .special = options.special}),
          console);
    }
  };
  if (options.lines)
    for_lines(text, one);
  else
    one(text);
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  cli.add_option("MODEL", options->model,
                 "A model's name, or the path of a GGUF file or a directory; one with a "
                 "vocabulary alone is enough")
      ->required();
  cli.add_option("TEXT", options->text,
                 "The text; otherwise standard input, verbatim, as one text");
  cli.add_flag("--lines", options->lines, "Each line is a text of its own");
  auto* ids = cli.add_flag("--ids", options->ids, "Print the ids alone, one line a text");
  cli.add_flag("--bos", options->bos, "Put the model's beginning-of-text token first");
  cli.add_flag("--special", options->special,
               "Read special tokens such as <|im_end|> from the text; with --decode, print them");
  auto* decode = cli.add_flag("--decode", options->decode, "Turn ids back into their bytes");
  auto* json = cli.add_flag("--json", options->json, "Print one JSON object a text, one a line");
  decode->excludes(ids)->excludes(json);
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command tokenize{
    .name = "tokenize",
    .summary = "Show the tokens of a text, or the text of tokens",
    .details =
        "Without --bos and --special the ids are those of the text alone, and special tokens "
        "spelled in it\nare ordinary characters.",
    .examples =
        "  malina tokenize smollm2-135m-instruct \"Hello world\"\n"
        "  malina tokenize smollm2-135m-instruct --ids < article.txt\n"
        "  malina tokenize ./vocabulary.gguf --lines --json < questions.txt\n"
        "  malina tokenize smollm2-135m-instruct --decode \"19556 905\"\n"
        "  malina tokenize smollm2-135m-instruct --special \"<|im_start|>user\"\n",
    .setup = setup};

}  // namespace malina::app
