// malina decide: typed questions about a text, or about every row of a table.
#include <filesystem>
#include <optional>

#include "app/command.h"
#include "app/generation_options.h"
#include "app/interrupt.h"
#include "app/progress_bar.h"
#include "base/error.h"
#include "platform/local_escalation.h"
#include "platform/tuning.h"

namespace malina::app {
namespace {

using base::Error;
using base::Fault;

constexpr std::size_t kShownOptions = 5;

struct Options {
  RunChoices run;
  std::string question;
  std::string input = "-";
  std::string column, format, output;
  std::optional<std::string> template_file;
  std::string escalate_to;  // of a tuned classifier
  bool json = false, overwrite = false, start_again = false;
};

std::optional<platform::TableFormat> format_of(const Options& options) {
  if (options.format == "text") return std::nullopt;
  if (!options.format.empty()) return platform::table_format("." + options.format);
  return options.input == "-" ? std::nullopt : platform::table_format(options.input);
}

// What of the options does not fit together, before a model is loaded.
void check(const Options& options, bool table) {
  if (table) {
    if (options.json)
      throw Error(Fault::invalid_argument,
                  "--json is for one text; a .jsonl file gives JSON for each of its rows");
    return;
  }
  for (const auto& [given, name] : {std::pair{!options.output.empty(), "--output"},
                                    {!options.column.empty(), "--column"},
                                    {options.overwrite, "--overwrite"},
                                    {options.start_again, "--start-again"}})
    if (given)
      throw Error(Fault::invalid_argument,
                  fmt::format("{} is for files; this is one text (a file ends with .csv, .tsv or "
                              ".jsonl, or has its --format)",
                              name));
  std::error_code none;
  if (options.input != "-" && options.input.size() < 4096 &&
      std::filesystem::is_regular_file(options.input, none))
    throw Error(Fault::invalid_argument,
                fmt::format("{} is a file, but no .csv, .tsv or .jsonl: give its --format, or what "
                            "it holds as one text by '- < {}'",
                            options.input, options.input));
}

std::string share(const Json& value) { return fmt::format("{:.4f}", value.get<double>()); }

// The likeliest options, as many as fit an eye.
std::string options_table(const Json& json) {
  std::vector<std::pair<double, std::string>> options;
  for (const Json& each : json["probabilities"]) {
    const Json& label = each.contains("label") ? each["label"] : each["value"];
    options.emplace_back(-each["probability"].get<double>(),
                         label.is_string() ? label.get<std::string>() : label.dump());
  }
  if (json["type"] != "score")
    std::stable_sort(options.begin(), options.end(),
                     [](auto& a, auto& b) { return a.first < b.first; });
  std::vector<std::vector<std::string>> rows;
  const bool all = json["type"] == "score" || options.size() <= kShownOptions + 1;
  for (std::size_t i = 0; i < (all ? options.size() : kShownOptions); ++i)
    rows.push_back({"  " + printable(options[i].second), fmt::format("{:.4f}", -options[i].first)});
  if (!all) rows.push_back({fmt::format("  {} more", options.size() - kShownOptions), ""});
  return table(rows, {1});
}

void print_spans(Console& console, const Json& spans) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& span : spans)
    rows.push_back(
        {"  " + printable((span.contains("type") ? span["type"].get<std::string>() + ": " : "") +
                          span["text"].get_ref<const std::string&>()),
         fmt::format("{}-{}", span["start"].get<std::size_t>(), span["end"].get<std::size_t>()),
         share(span["probability"])});
  if (!rows.empty()) console.write(table(rows, {1, 2}));
}

void print(Console& console, const std::string& name, const platform::Decision& decision) {
  const Json& json = decision.json;
  std::string answer = printable(decision.answer);
  if (answer.empty()) answer = json["type"] == "extract" ? "(nothing)" : "(none of them)";
  std::string line = name.empty() ? "" : printable(name) + ": ";
  line += console.styled(Style::bold, answer);
  line += fmt::format("  probability {:.4f}", decision.probability);
  if (json["type"] == "score") line += fmt::format(", score {:.2f}", json["score"].get<double>());
  if (decision.abstain) line += ", " + console.styled(Style::yellow, "abstains");
  if (json.contains("escalated_to") && json["escalated_to"].is_string())
    line += ", by " + printable(json["escalated_to"].get<std::string>());
  console.print("{}\n", line);
  if (json.contains("spans")) return print_spans(console, json["spans"]);
  if (json.contains("probabilities")) console.write(options_table(json));
  console.write(
      console.styled(Style::dim, fmt::format("  label mass {:.4f}{}\n", decision.label_mass,
                                             decision.calibrated ? "" : "; not calibrated")));
}

// Loads whoever else is asked as the first one was loaded.
platform::LocalEscalation escalation_of(const Options& options, Session& session) {
  return platform::LocalEscalation([&options, &session](const std::string& target) {
    RunChoices choices = options.run;
    choices.model = target;
    return load_model(choices, session);
  });
}

// Where an answer abstains and its question has somebody else to be asked.
void escalate(const Options& options, const std::string& text,
              const std::vector<platform::QuestionPointer>& questions,
              std::vector<platform::Decision>& decisions, Session& session) {
  platform::LocalEscalation escalation = escalation_of(options, session);
  for (std::size_t i = 0; i < questions.size(); ++i) {
    if (!decisions[i].abstain || platform::escalation_of(*questions[i]).empty()) continue;
    decisions[i] = std::move(escalation.ask(questions[i], {&text, 1}).at(0));
    if (!decisions[i].refusal.empty()) throw Error(Fault::invalid_argument, decisions[i].refusal);
  }
}

std::vector<platform::Decision> decisions_of(
    const std::string& text, const std::vector<platform::QuestionPointer>& questions,
    platform::LanguageModel& model, Session& session) {
  std::vector<platform::Decision> decisions;
  ProgressBar bar(session.console());
  for (const auto& question : questions) {
    bar({"deciding", decisions.size(), questions.size(), 0, "questions"});
    decisions.push_back(model.decide({.question = question, .texts = {text}}).decisions.at(0));
  }
  return decisions;
}

void show(const Options& options, const std::vector<platform::Decision>& decisions,
          const std::vector<platform::QuestionPointer>& questions, Session& session) {
  if (options.json) {
    Json json{{"model", options.run.model}, {"answers", Json::array()}};
    for (const auto& decision : decisions) json["answers"].push_back(decision.json);
    session.console().json(json);
    return;
  }
  for (std::size_t i = 0; i < questions.size(); ++i)
    print(session.console(), platform::question_name(*questions[i]), decisions[i]);
}

// Calls `decide` with what is asked of the rows.
template <class Decide>
void decide_table(const Options& options, platform::TableFormat format,
                  std::vector<platform::QuestionPointer> questions, Session& session,
                  Decide&& decide) {
  Console& console = session.console();
  platform::LocalEscalation escalation = escalation_of(options, session);
  platform::DecisionFileRequest request{
      .questions = std::move(questions),
      .input = options.input,
      .format = format,
      .column = options.column,
      .output = options.output,
      .write =
          [&](std::string_view lines) {
            console.write(lines);
            console.flush();
          },
      .overwrite = options.overwrite,
      .start_again = options.start_again,
      .escalation = &escalation,
      .settings =
          fmt::format("exact {}, kv {}, window {}, context {}, template {}", options.run.run.exact,
                      options.run.run.kv_type, options.run.window, options.run.run.context,
                      options.template_file ? read_file(*options.template_file) : "")};
  platform::DecisionFileReport report;
  try {
    ProgressBar bar(console);
    report = decide(std::move(request), bar.sink());
  } catch (const Error& error) {
    if (error.fault() != Fault::cancelled || options.output.empty()) throw;
    throw Error(Fault::cancelled,
                "stopped; the same command goes on where it was (" + options.output + ".part)");
  }
  std::string line = fmt::format("{} rows", grouped(report.rows));
  if (report.resumed > 0) line += fmt::format(", {} of them from before", grouped(report.resumed));
  if (report.failed > 0) line += fmt::format(", {} with an error", grouped(report.failed));
  if (report.abstained > 0) line += fmt::format(", {} abstained", grouped(report.abstained));
  if (report.escalated > 0) line += fmt::format(", {} escalated", grouped(report.escalated));
  const double rows = static_cast<double>(report.rows - report.resumed);
  line += fmt::format("; {:.1f} s, {:.1f} rows/s\n", report.seconds,
                      report.seconds > 0 ? rows / report.seconds : 0);
  if (!options.output.empty()) console.write(line);
}

// By a classifier that was tuned, which brings its question.
void run_classifier(const Options& options, platform::LoadedClassifier& classifier,
                    Session& session) {
  if (!options.question.empty())
    throw Error(Fault::invalid_argument,
                fmt::format("{} was tuned for its own question; --question is for models",
                            options.run.model));
  const std::vector questions{
      options.escalate_to.empty()
          ? classifier.question()
          : platform::with_escalation(*classifier.question(), options.escalate_to)};
  if (!options.escalate_to.empty() && platform::extracts(*classifier.question()))
    throw Error(Fault::invalid_argument,
                "--escalate-to is of classifiers: nobody else knows the types of a tagger");
  platform::check_local_escalation(session.platform(), questions);
  if (const auto format = format_of(options)) {
    decide_table(options, *format, questions, session, [&](auto request, const auto& sink) {
      return session.platform().decide_file(classifier, std::move(request), sink);
    });
    return;
  }
  const std::vector<std::string> texts{options.input == "-" ? read_standard_input()
                                                            : options.input};
  auto decisions = classifier.decide(texts);
  if (!decisions.front().refusal.empty())
    throw Error(Fault::invalid_argument, decisions.front().refusal);
  escalate(options, texts.front(), questions, decisions, session);
  show(options, decisions, questions, session);
}

std::unique_ptr<platform::LoadedClassifier> load_classifier(const Options& options,
                                                            Session& session) {
  ProgressBar bar(session.console());
  return session.platform().load_classifier(options.run.model, options.run.run.threads, bar.sink());
}

void run(const Options& options, Session& session) {
  const auto format = format_of(options);
  check(options, format.has_value());
  if (const auto classifier = load_classifier(options, session)) {
    run_classifier(options, *classifier, session);
    return;
  }
  if (options.question.empty())
    throw Error(
        Fault::invalid_argument,
        fmt::format("--question is missing, and {} is no tuned classifier", options.run.model));
  if (options.question == "-" && options.input == "-")
    throw Error(Fault::invalid_argument, "the question and the text cannot both be standard input");
  if (!options.escalate_to.empty())
    throw Error(Fault::invalid_argument,
                "--escalate-to is of a tuned classifier; a question has its own 'escalate_to'");
  auto questions = platform::read_questions(read_file(options.question), options.question);
  platform::check_local_escalation(session.platform(), questions);
  std::string text;
  if (!format) text = options.input == "-" ? read_standard_input() : options.input;
  const auto model = load_model(options.run, session);
  if (options.template_file) model->set_chat_template(read_file(*options.template_file));
  if (format) {
    decide_table(options, *format, std::move(questions), session,
                 [&](auto request, const auto& sink) {
                   return session.platform().decide_file(*model, options.run.model,
                                                         std::move(request), sink);
                 });
  } else {
    auto decisions = decisions_of(text, questions, *model, session);
    escalate(options, text, questions, decisions, session);
    show(options, decisions, questions, session);
  }
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  add_run_options(cli, options->run);
  options->run.run.step_time = platform::kUnattendedStep;
  cli.add_option("--question", options->question,
                 "FILE with one question or a list of them, as JSON; - for standard input; a "
                 "tuned classifier has its own");
  cli.add_option(
      "TEXT", options->input,
      "A text; or a FILE.csv, .tsv or .jsonl with one in each row; or - for standard input, "
      "which is the default");
  cli.add_option("--escalate-to", options->escalate_to,
                 "The model or the alias that is asked what a tuned classifier abstains from; a "
                 "question has its own 'escalate_to'")
      ->check([](const std::string& name) { return name.empty() ? "is empty" : ""; });
  cli.add_option("--column", options->column,
                 "The column with the texts; by default 'text', or the only one");
  cli.add_option("--format", options->format,
                 "What the input is, instead of what its name ends with: text|csv|tsv|jsonl")
      ->check(CLI::IsMember({"text", "csv", "tsv", "jsonl"}));
  cli.add_option("--output", options->output,
                 "FILE for the rows with their answers; by default standard output");
  cli.add_flag("--overwrite", options->overwrite, "Replace the output where it exists");
  cli.add_flag("--start-again", options->start_again,
               "Throw away what an interrupted run has left beside the output");
  cli.add_option("--template", options->template_file,
                 "FILE with a chat template (Jinja), instead of the model's own");
  cli.add_flag("--json", options->json, "Print one JSON object, as POST /v1/decisions answers");
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command decide{
    .name = "decide",
    .summary = "Answer typed questions about a text or about every row of a file",
    .details =
        "A question is JSON: a predicate, a choice, a score or an extract "
        "(docs/reference/decisions.md).\n"
        "  {\"type\": \"choice\", \"instructions\": \"What is it about?\", \"choices\": [\"card\", "
        "\"refund\"]}\n"
        "Rows of a file get the columns answer, probability, confidence, label_mass, abstain and "
        "error.\n"
        "What abstains is asked of another model where the question or --escalate-to names one; "
        "then\n"
        "rows have a column escalated_to too.\n"
        "A classifier that 'malina tune' made is named as MODEL and needs no question.\n"
        "With --output a run that was stopped or killed goes on where it was by the same command.",
    .examples =
        "  malina decide smollm2-135m-instruct --question intent.json \"Where is my card?\"\n"
        "  malina decide smollm2-135m-instruct --question intent.json mails.csv --output out.csv\n"
        "  malina decide smollm2-135m-instruct:intents \"Where is my card?\"\n"
        "  cat mail.txt | malina decide smollm2-135m-instruct --question urgent.json --json",
    .setup = setup};

}  // namespace malina::app
