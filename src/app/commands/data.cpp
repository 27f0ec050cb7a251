// malina data: what is wrong with a data set, and cutting it into parts.
#include <algorithm>
#include <array>
#include <charconv>

#include "app/command.h"
#include "app/data_report.h"
#include "app/number_checks.h"
#include "app/progress_bar.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "platform/data_sets.h"

namespace malina::app {

namespace {

using base::Error;
using base::Fault;

struct CheckOptions {
  std::string train, validation, test, text, label, model, html;
  std::uint64_t max_tokens = 0;
  double near = 0.8, most_leaks = 1;
  bool wrong_labels = false, json = false;
};

std::optional<std::filesystem::path> given(const std::string& path) {
  return path.empty() ? std::nullopt : std::optional<std::filesystem::path>(path);
}

void write_page(const platform::DataReport& report, const std::string& path) {
  base::AtomicFile file(path);
  file.write(platform::data_report_page(report));
  file.commit();
}

void check(const CheckOptions& options, Session& session) {
  if (options.max_tokens > 0 && options.model.empty())
    throw Error(Fault::invalid_argument,
                "--max-tokens counts tokens of a model: name it by --model");
  platform::DataReport report;
  {
    ProgressBar bar(session.console());
    report = session.platform().check_data(
        {.train = options.train,
         .validation = given(options.validation),
         .test = given(options.test),
         .text = options.text,
         .label = options.label,
         .model = options.model,
         .max_tokens =
             options.max_tokens > 0 ? std::optional<std::size_t>(options.max_tokens) : std::nullopt,
         .suspect_labels = options.wrong_labels,
         .near = options.near,
         .most_leaks = options.most_leaks / 100},
        bar.sink());
  }
  if (!options.html.empty()) write_page(report, options.html);
  if (options.json)
    session.console().json(platform::data_report_json(report));
  else
    print_data_report(report, session.console());
  const auto errors =
      std::count_if(report.findings.begin(), report.findings.end(),
                    [](const auto& finding) { return finding.severity == tune::Severity::error; });
  if (errors > 0)
    throw Error(Fault::corrupt_file, fmt::format("the data set is refused for {} error{}", errors,
                                                 errors == 1 ? "" : "s"));
}

void add_columns(CLI::App& cli, std::string& text, std::string& label) {
  cli.add_option("--text", text, "The key or column of the text; by default the usual names")
      ->type_name("NAME");
  cli.add_option("--label", label, "The key or column of the label; by default the usual names")
      ->type_name("NAME");
}

CLI::Option* add_near(CLI::App& cli, double& near) {
  return cli
      .add_option("--near", near, "From which similarity on (0.6 to 1) texts are nearly the same")
      ->type_name("X")
      ->check(real_number())
      ->check(CLI::Range(0.6, 1.0))
      ->default_str("0.8");
}

Action setup_check(CLI::App& cli) {
  auto options = std::make_shared<CheckOptions>();
  cli.add_option("FILE", options->train, "The examples to train from")->required();
  cli.add_option("--validation", options->validation, "Examples to choose settings by")
      ->type_name("FILE");
  cli.add_option("--test", options->test, "Examples to measure with")->type_name("FILE");
  add_columns(cli, options->text, options->label);
  cli.add_option("--model", options->model, "Count tokens as this model does")->type_name("MODEL");
  cli.add_option("--max-tokens", options->max_tokens,
                 "Name rows with more tokens; by default more than the model's context")
      ->type_name("N")
      ->check(whole_number(1, 1ULL << 24));
  add_near(cli, options->near);
  cli.add_option("--max-leaks", options->most_leaks,
                 "Refuse parts of which this share, in percent, stands in an earlier part")
      ->type_name("PERCENT")
      ->check(real_number())
      ->check(CLI::Range(0.0, 100.0))
      ->default_str("1");
  cli.add_flag("--wrong-labels", options->wrong_labels,
               "Look for labels of FILE that are perhaps wrong: trains a linear model on the other "
               "rows, which takes a minute for ten thousand");
  cli.add_flag("--json", options->json, "Print the report as JSON");
  cli.add_option("--html", options->html, "Write it as a page to read and to keep, with plots")
      ->type_name("FILE");
  return [options](Session& session) { check(*options, session); };
}

struct SplitOptions {
  std::string input, validation, test, folder, text, label;
  std::uint64_t seed = 0;
  double near = 0.8;
  bool skip_bad_rows = false, replace = false, json = false;
};

// "10%", "12.5%", or a number of rows.
tune::PartSize part_size(const std::string& text, std::string_view option) {
  const bool percent = text.ends_with('%');
  const char* const end = text.data() + text.size() - (percent ? 1 : 0);
  double share = 0;
  std::uint64_t rows = 0;
  const auto read =
      percent ? std::from_chars(text.data(), end, share) : std::from_chars(text.data(), end, rows);
  const bool whole = read.ec == std::errc() && read.ptr == end && !text.empty();
  if (!whole || (percent ? !(share > 0 && share < 100) : rows == 0))
    throw Error(Fault::invalid_argument,
                fmt::format("{}: '{}' is neither a share such as 10% nor a number of rows", option,
                            printable(text)));
  return percent ? tune::PartSize{.rows = std::nullopt, .share = share / 100}
                 : tune::PartSize{.rows = rows, .share = 0};
}

platform::SplitRequest split_request(const SplitOptions& options) {
  if (options.validation.empty() && options.test.empty())
    throw Error(Fault::invalid_argument,
                "say which part to cut off, and how large: --test 10%, --validation 500");
  const std::filesystem::path input(options.input);
  const auto folder =
      options.folder.empty() ? input.parent_path() : std::filesystem::path(options.folder);
  const auto part = [&](const std::string& name, tune::PartSize size) {
    return platform::SplitRequest::Part{
        name, folder / (input.stem().string() + "." + name + input.extension().string()), size};
  };
  platform::SplitRequest request;
  request.input = input;
  request.reading.text = options.text;
  request.reading.label = options.label;
  request.parts.push_back(part("train", {}));
  if (!options.validation.empty())
    request.parts.push_back(part("validation", part_size(options.validation, "--validation")));
  if (!options.test.empty())
    request.parts.push_back(part("test", part_size(options.test, "--test")));
  request.seed = options.seed;
  request.near = options.near;
  request.skip_bad_rows = options.skip_bad_rows;
  request.replace = options.replace;
  return request;
}

void print_split(const platform::SplitReport& report, Console& console) {
  for (const auto& part : report.parts)
    console.print("{}: {} rows{}, {}\n", printable(part.output.string()), grouped(part.rows),
                  part.labels.empty() ? "" : fmt::format(" of {} labels", part.labels.size()),
                  human_bytes(part.bytes));
  if (report.groups > 0)
    console.print("{} groups of rows that say nearly the same stayed together\n",
                  grouped(report.groups));
  if (report.skipped_rows > 0)
    console.print("{} rows could not be used and are in no part\n", grouped(report.skipped_rows));
}

void split(const SplitOptions& options, Session& session) {
  const platform::SplitRequest request = split_request(options);
  platform::SplitReport report;
  {
    ProgressBar bar(session.console());
    report = session.platform().split_data(request, bar.sink());
  }
  if (options.json)
    session.console().json(platform::split_report_json(report));
  else
    print_split(report, session.console());
}

Action setup_split(CLI::App& cli) {
  auto options = std::make_shared<SplitOptions>();
  cli.add_option("FILE", options->input, "The examples")->required();
  cli.add_option("--validation", options->validation,
                 "How much to choose settings by: a share such as 10%, or a number of rows")
      ->type_name("SIZE");
  cli.add_option("--test", options->test, "How much to measure with")->type_name("SIZE");
  cli.add_option("--seed", options->seed, "Another one gives other parts")
      ->type_name("N")
      ->check(whole_number(0, ~std::uint64_t{0}))
      ->default_str("0");
  cli.add_option("--output-folder", options->folder, "Where to; by default beside FILE")
      ->type_name("FOLDER");
  add_columns(cli, options->text, options->label);
  add_near(cli, options->near);
  cli.add_flag("--skip-bad-rows", options->skip_bad_rows, "Leave out rows that cannot be used");
  cli.add_flag("--replace", options->replace, "Overwrite parts that are there already");
  cli.add_flag("--json", options->json, "Print the result as JSON");
  return [options](Session& session) { split(*options, session); };
}

constexpr std::array kVerbs{
    Verb{.name = "check",
         .summary = "Say what is wrong with a data set, before anything is trained from it",
         .details =
             "Rows that cannot be used, by line; rows that repeat, and rows of a later part that "
             "stand in an\nearlier one, whatever is wrapped around them; the same text with two "
             "labels; counts of labels;\nlengths; personal data by kind (never the data itself); "
             "SHA-256. Errors refuse the data (exit\ncode 5), warnings do not. Formats are told "
             "by content: docs/reference/data-sets.md.",
         .examples = "  malina data check train.csv\n"
                     "  malina data check train.jsonl --validation dev.jsonl --test test.jsonl "
                     "--html report.html\n"
                     "  malina data check chats.jsonl --model smollm2-135m-instruct "
                     "--max-tokens 1024\n"
                     "  malina data check notes.csv --text dialogue --label section --json\n",
         .setup = setup_check},
    Verb{.name = "split",
         .summary = "Cut a data set into parts to train, choose and measure with",
         .details =
             "Each label is shared out alike, rows that say nearly the same stay in one part, and "
             "the same seed\ngives the same files. They are called as FILE, with the part's name "
             "before the extension, and keep\nits format and the bytes of its rows.",
         .examples = "  malina data split tickets.csv --test 10%\n"
                     "  malina data split tickets.csv --validation 10% --test 500 --seed 7 "
                     "--output-folder parts\n",
         .setup = setup_split}};

Action setup(CLI::App& cli) { return add_verbs(cli, kVerbs); }

}  // namespace

extern const Command data{.name = "data",
                          .summary = "Check a data set before training, and cut it into parts",
                          .details = "",
                          .examples =
                              "  malina data check train.csv --test test.csv\n"
                              "  malina data split tickets.csv --validation 10% --test 10%\n",
                          .setup = setup};

}  // namespace malina::app
