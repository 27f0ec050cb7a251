// malina tune: from labelled texts to a classifier that says how sure it is.
#include <fmt/format.h>

#include <algorithm>

#include "app/command.h"
#include "app/generation_report.h"
#include "app/interrupt.h"
#include "app/number_checks.h"
#include "app/plan_report.h"
#include "app/span_report.h"
#include "app/tuning_report.h"
#include "app/tuning_watcher.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "platform/method_name.h"
#include "platform/tuning.h"

namespace malina::app {

namespace {

using platform::TuneTask;
using tune::Method;

struct Options {
  platform::TuneRequest request;
  std::string task = "auto";
  std::string method = "auto";
  std::string up_to = "labels";
  float alpha = 0;  // 0: twice the rank
  bool search = false;
  std::string report;  // where the page is written besides
  std::string pooling = "auto";
  bool fast = false;
  bool skip_long = false;
  const CLI::App* cli = nullptr;  // which options were given
  bool json = false;
};

Json report_of(const platform::TuneOutcome& outcome) {
  if (outcome.generation) return tune::report_json(*outcome.generation);
  if (outcome.spans) return tune::report_json(*outcome.spans);
  return tune::report_json(outcome.report);
}

TuneTask task_of(const std::string& text) {
  if (text == "classify") return TuneTask::classification;
  if (text == "spans") return TuneTask::spans;
  return text == "write" ? TuneTask::generation : TuneTask::automatic;
}

// What was given on the command line; the rest is what suits a model that writes.
tune::GenerationRequest generation_of(const Options& options, const tune::Recipe& given) {
  tune::GenerationRequest request;
  request.recipe = given;
  request.recipe.full = options.method == "full";
  const tune::Recipe usual = tune::generation_recipe(request.recipe.full);
  const auto is_given = [&](const char* name) { return options.cli->count(name) > 0; };
  if (!is_given("--learning-rate")) request.recipe.learning_rate = usual.learning_rate;
  if (!is_given("--batch")) request.recipe.batch = usual.batch;
  if (!is_given("--epochs")) request.recipe.epochs = usual.epochs;
  if (is_given("--max-tokens")) request.max_tokens = options.request.tuning.form.max_tokens;
  request.recipe.pooling = tune::Pooling::last;
  request.patience = options.request.tuning.patience;
  if (!request.recipe.full) {
    request.curve = options.request.tuning.curve;
    request.search = options.request.tuning.search;
    if (options.search && request.search.empty())
      request.search = tune::search_rates(request.recipe.learning_rate);
  }
  request.skip_long = options.skip_long;
  return request;
}

void write_page(const std::string& page, const std::string& path) {
  base::AtomicFile file(path);
  file.write(page);
  file.commit();
}

// Before anything is computed that could then not be written.
void check_page(const Options& options) {
  namespace fs = std::filesystem;
  const fs::path path = options.report;
  const tune::TuningRequest& tuning = options.request.tuning;
  for (const auto* files : {&tuning.training, &tuning.validation, &tuning.test})
    for (const fs::path& file : *files) {
      std::error_code none;  // a file that is not there is no file of data
      if (fs::equivalent(file, path, none))
        throw base::Error(base::Fault::invalid_argument,
                          fmt::format("--report: {} is a file of data", path.string()));
    }
  const fs::path folder = path.has_parent_path() ? path.parent_path() : ".";
  if (!fs::is_directory(folder))
    throw base::Error(base::Fault::not_found,
                      fmt::format("--report: there is no directory {}", folder.string()));
  if (fs::exists(path) && (fs::is_directory(path) || !options.request.replace))
    throw base::Error(
        base::Fault::already_exists,
        fmt::format("--report: {} exists already; --force replaces a file", path.string()));
}

// Said, and not refused: the same options are given to one method after the other.
void tell_of_unused(const Options& options, Method method, Console& console) {
  std::vector<const char*> unused;
  const bool no_adapter = method == Method::automatic && options.up_to == "probe";
  if (method == Method::linear || method == Method::probe || no_adapter)
    unused = {"--rank",         "--alpha", "--rslora",   "--learning-rate", "--b-ratio",
              "--epochs",       "--batch", "--patience", "--fast",          "--search",
              "--search-rates", "--curve", "--recompute"};
  if (method == Method::labels)
    unused = {"--search", "--search-rates", "--pooling", "--twice", "--curve"};
  if (method == Method::linear)
    unused.insert(unused.end(), {"--pooling", "--twice", "--max-tokens"});
  if (options.method != "auto") unused.push_back("--up-to");
  if (options.method == "full")
    unused = {"--rank", "--alpha", "--rslora", "--b-ratio",
              "--fast", "--curve", "--search", "--search-rates"};
  std::string given;
  for (const char* name : unused)
    if (options.cli->count(name) > 0) given += (given.empty() ? "" : ", ") + std::string(name);
  if (!given.empty())
    console.status(fmt::format("Without effect on --method {}: {}\n", options.method, given));
}

// What another task has is not ignored.
void check_task(const Options& options, TuneTask task) {
  const auto refuse = [&](std::initializer_list<const char*> names, const char* why) {
    for (const char* name : names)
      if (options.cli->count(name) > 0)
        throw base::Error(base::Fault::invalid_argument, fmt::format("{}: {}", name, why));
  };
  const bool full = options.method == "full";
  if (full && task != TuneTask::generation)
    throw base::Error(base::Fault::invalid_argument,
                      "--method full: is of conversations and completions, which teach a model to "
                      "write");
  if (task == TuneTask::spans)
    refuse({"--pooling", "--twice", "--skip-long", "--label", "--out-of-scope",
            "--out-of-scope-recall", "--up-to"},
           "is of another task, and spans are to be marked");
  if (task == TuneTask::classification)
    refuse({"--skip-long"}, "is of conversations, and texts are to be classified");
  if (task != TuneTask::generation) return;
  if (!full)
    refuse({"--method"},
           "is of a classifier, and the model is to learn to write, by an adapter or by full");
  refuse({"--test", "--target-accuracy", "--guarantee", "--pooling", "--twice", "--report",
          "--out-of-scope", "--out-of-scope-recall", "--up-to"},
         "is of a classifier, and the model is to learn to write");
  if (options.request.model.empty())
    throw base::Error(base::Fault::invalid_argument, "--model is missing");
}

void print_plan(const Options& options, const platform::TuneOutcome& outcome, Console& console) {
  if (!options.json) return app::print_plan(outcome, console);
  Json json = tune::plan_json(*outcome.plan);
  json["name"] = outcome.name;
  json["directory"] = outcome.directory.string();
  console.json(json);
}

// Whether there is an adapter without the curve that it could have.
bool lacks_curve(const platform::TuneOutcome& outcome) {
  const auto is_of_adapter = [](const tune::CurveReport& curve) {
    return curve.members.front() == Method::lora;
  };
  if (outcome.generation) return !outcome.generation->curve;
  if (outcome.spans)
    return !outcome.spans->history.empty() &&
           std::ranges::none_of(outcome.spans->curves, is_of_adapter);
  return !outcome.report.history.empty() &&
         std::ranges::none_of(outcome.report.curves, is_of_adapter);
}

void run(const Options& options, Session& session) {
  platform::TuneRequest request = options.request;
  tune::TuningRequest& tuning = request.tuning;
  tuning.method = platform::method_named(options.method).value_or(Method::automatic);
  tuning.up_to = platform::method_named(options.up_to).value();
  request.task = task_of(options.task);
  tuning.recipe.adapter.alpha =
      options.alpha > 0 ? options.alpha : 2 * static_cast<float>(tuning.recipe.adapter.rank);
  tuning.automatic_reading = options.pooling == "auto" && !tuning.form.twice;
  const bool mean = options.pooling == "mean" || (options.pooling == "auto" && tuning.form.twice);
  tuning.recipe.pooling = mean ? tune::Pooling::mean : tune::Pooling::last;
  if (options.search && tuning.search.empty())
    tuning.search = tune::search_rates(tuning.recipe.learning_rate);
  tuning.recipe.precision = options.fast ? math::Precision::fast : math::Precision::exact;
  if (request.model.empty() && tuning.method != Method::linear)
    throw base::Error(base::Fault::invalid_argument,
                      "--model is missing: only --method linear needs no base");
  request.generation = generation_of(options, tuning.recipe);
  if (request.task == TuneTask::automatic) request.task = platform::task_of_data(tuning);
  check_task(options, request.task);
  if (!options.report.empty() && !request.dry_run) check_page(options);
  if (options.cli->count("--out-of-scope") > 0 && tuning.out_of_scope.empty())
    throw base::Error(base::Fault::invalid_argument, "--out-of-scope: the label is empty");
  tell_of_unused(options, tuning.method, session.console());
  platform::TuneOutcome outcome;
  {
    InterruptScope interrupt;
    TuningWatcher watcher(session.console());
    outcome = session.platform().tune(request, watcher.events(), watcher.sink());
  }
  if (outcome.plan) return print_plan(options, outcome, session.console());
  if (!outcome.finished)
    throw base::Error(base::Fault::cancelled,
                      "paused: the same command goes on from the last snapshot of a training in "
                      "steps; what has none is done again");
  if (!options.report.empty()) write_page(outcome.page, options.report);
  if (tuning.curve && options.method != "full" && lacks_curve(outcome))
    session.console().status(
        "No learning curve of the adapter: too few rows for it, or one of its trainings "
        "diverged\n");
  if (options.json) {
    Json json = report_of(outcome);
    json["name"] = outcome.name;
    json["directory"] = outcome.directory.string();
    session.console().json(json);
  } else if (outcome.spans) {
    print_spans(outcome, session.console());
  } else if (outcome.generation) {
    print_generation(outcome, session.console(), options.method == "full");
  } else {
    print_tuning_report(outcome, session.console());
  }
}

void add_recipe(CLI::App& cli, Options& options) {
  tune::TuningRequest& tuning = options.request.tuning;
  tune::Recipe& recipe = tuning.recipe;
  recipe.epochs = 0, recipe.batch = 0;  // settled by the number of rows
  cli.add_option("--epochs", recipe.epochs,
                 "Times through the data, at most; by default 4 to 30, for about 600 steps")
      ->check(whole_number(1, 1000));
  cli.add_option("--patience", tuning.patience, "Epochs without a better one before it stops")
      ->check(whole_number(1, 1000))
      ->capture_default_str();
  cli.add_option("--rank", recipe.adapter.rank, "Rank of the adapter")
      ->check(whole_number(1, 1024))
      ->capture_default_str();
  cli.add_option("--alpha", options.alpha, "Scale of the adapter; by default twice the rank")
      ->check(CLI::PositiveNumber);
  cli.add_flag("--rslora", recipe.adapter.rank_stabilised,
               "Divide the scale by the root of the rank");
  cli.add_option("--learning-rate", recipe.learning_rate, "Of AdamW, at its highest")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  cli.add_option("--b-ratio", recipe.b_ratio, "Times this for B (LoRA+)")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  cli.add_option("--pooling", options.pooling,
                 "What the head reads of a text: the state of its last token, or the mean of all")
      ->check(CLI::IsMember({"auto", "last", "mean"}))
      ->capture_default_str();
  cli.add_flag("--twice", tuning.form.twice,
               "The base reads each text twice, so that every word is seen beside all others; "
               "twice the time");
  cli.add_option("--batch", recipe.batch,
                 "Texts of a step; by default 32, or 16 of fewer than 1,000 rows")
      ->check(whole_number(1, 4096));
  cli.add_option("--seed", recipe.seed, "Of everything that is random")
      ->check(whole_number(0, UINT64_MAX / 2))
      ->capture_default_str();
  cli.add_option("--max-tokens", tuning.form.max_tokens, "Tokens that are read of a text")
      ->check(whole_number(3, 1 << 20))
      ->capture_default_str();
  cli.add_flag("--skip-long", options.skip_long,
               "Leave out conversations of more tokens; otherwise they are refused");
  cli.add_flag("--fast", options.fast,
               "In 8 bits: forward as answers are computed by default, and back; twice the speed");
  cli.add_flag("--search", options.search,
               "Try half, twice and five times the learning rate in short trainings first; takes "
               "three times as long");
  cli.add_option("--search-rates", tuning.search, "Learning rates to search among, instead")
      ->check(CLI::PositiveNumber);
  cli.add_flag("--curve", tuning.curve,
               "Measure what more rows would bring to the adapter too; takes twice as long");
  cli.add_flag("--recompute", recipe.recompute, "A third slower, for a fraction of the memory");
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  options->cli = &cli;
  platform::TuneRequest& request = options->request;
  tune::TuningRequest& tuning = request.tuning;
  cli.add_option("--model", request.model, "The base: a model's name, or a path");
  cli.add_option("--data", tuning.training,
                 "Files of labelled texts or conversations: CSV, TSV, JSON lines, JSON")
      ->required();
  cli.add_option("--validation", tuning.validation,
                 "Files to choose and calibrate on; by default a part of --data is held back");
  cli.add_option("--test", tuning.test, "Files that are read once, at the end, for the report");
  cli.add_option("--suffix", request.suffix,
                 "Its name is MODEL:SUFFIX, or MODEL-SUFFIX by --method full")
      ->required();
  cli.add_option("--method", options->method,
                 "auto takes the cheapest that no dearer one beats; full trains all weights of a "
                 "small model to write")
      ->check(CLI::IsMember({"auto", "linear", "probe", "lora", "labels", "blend", "full"}))
      ->capture_default_str();
  cli.add_option("--up-to", options->up_to, "The dearest method that auto tries on classifiers")
      ->check(CLI::IsMember({"probe", "lora", "labels"}))
      ->capture_default_str();
  cli.add_option("--task", options->task,
                 "What is learned: a label, the spans in a text, or what the model writes; auto "
                 "looks at the data")
      ->check(CLI::IsMember({"auto", "classify", "spans", "write"}))
      ->capture_default_str();
  cli.add_option("--text", tuning.reading.text, "Column or key of the text");
  cli.add_option("--label", tuning.reading.label, "Column or key of the label");
  cli.add_option("--output", request.output,
                 "Directory to write, or by --method full a .gguf file; by default in the store");
  cli.add_flag("--force", request.replace, "Replace what stands there");
  cli.add_option("--target-accuracy", tuning.calibration.target_accuracy,
                 "What answers are to reach; below it the classifier abstains")
      ->check(CLI::Range(0.01, 1.0))
      ->capture_default_str();
  cli.add_option("--guarantee", tuning.calibration.guarantee,
                 "With this probability --target-accuracy holds on other rows too, of which the "
                 "fewer are answered the fewer validation rows prove it; 0: on these rows alone")
      ->check(CLI::Range(0.0, 0.999))
      ->capture_default_str();
  cli.add_option("--out-of-scope", tuning.out_of_scope,
                 "A label of texts that no other label is meant for: the classifier abstains from "
                 "them, and from what is like them")
      ->excludes("--guarantee");
  cli.add_option("--out-of-scope-recall", tuning.calibration.out_of_scope_recall,
                 "The share of such texts that it is to abstain from, with 95 % confidence where "
                 "rows of it suffice for that; in place of --target-accuracy")
      ->check(CLI::Range(0.01, 1.0))
      ->needs("--out-of-scope")
      ->capture_default_str();
  add_recipe(cli, *options);
  cli.add_option("--threads", request.threads, "Threads to compute with; by default one a core")
      ->check(whole_number(1, 1024));
  cli.add_option("--report", options->report,
                 "Write the report as a page (HTML) here too; it stands in the directory anyway. "
                 "--force replaces a file that is there");
  cli.add_flag("--dry-run", request.dry_run,
               "Say how much memory and time it will take, and leave nothing behind");
  cli.add_flag("--json", options->json, "Print the report as JSON");
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command tune{
    .name = "tune",
    .summary = "Make a classifier or a tagger of labelled texts, or teach a model to write",
    .details =
        "Labelled texts make a classifier: a linear model on the words, a linear model on what "
        "the\n"
        "base makes of the texts, and a low-rank adapter with a head are trained; the cheapest of\n"
        "these, or of several together, that no dearer one beats significantly on the validation\n"
        "rows (in answers, or in probabilities) is kept, its probabilities are calibrated, and\n"
        "below which of them it abstains is set. Texts with spans (\"slots\") make a tagger.\n"
        "Conversations (chat JSON lines) and completions teach the model to write: the adapter\n"
        "stands in the store as MODEL:SUFFIX and answers at once. --method full trains all\n"
        "weights instead, of small models, and the result is a model of its own.\n"
        "Ctrl-C pauses; the same command goes on, also after a kill.",
    .examples =
        "  malina tune --model smollm2-135m-instruct --data train.csv --suffix intents\n"
        "  malina tune --model smollm2-135m-instruct --data train.csv --suffix intents --method "
        "lora\n"
        "  malina tune --model smollm2-135m-instruct --data chats.jsonl --suffix tickets\n"
        "  malina tune --model smollm2-135m-instruct --data train.csv --suffix intents --dry-run\n"
        "  malina tune --data train.jsonl --suffix topics --method linear\n"
        "  malina tune --data train.csv --test test.csv --suffix intents --method linear\n",
    .setup = setup};

}  // namespace malina::app
