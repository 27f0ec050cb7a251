#include "platform/decision_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <deque>
#include <optional>
#include <utility>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "platform/decision_columns.h"
#include "platform/language_model.h"
#include "platform/local_escalation.h"
#include "platform/resumable_file.h"
#include "platform/tuning.h"

namespace malina::platform {

using base::Error;
using base::Fault;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::size_t kGroupRows = 32;  // that are computed together
constexpr std::size_t kGroups = 3;      // under way
constexpr auto kPoll = std::chrono::milliseconds(50);

base::CsvReader::Read reader_of(const base::File& file, std::uint64_t end) {
  return [&file, end, offset = std::uint64_t{0}](std::span<char> buffer) mutable {
    const auto count =
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), end - offset));
    file.read_at(offset, std::as_writable_bytes(buffer.first(count)));
    offset += count;
    return count;
  };
}

std::size_t read_standard_input(std::span<char> buffer) {
  for (;;) {
    const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) throw base::system_error("cannot read standard input");
  }
}

// Says in a refusal of which line it is.
void name_line(Decision& decision, const TableRow& row) {
  if (!decision.refusal.empty())
    decision.refusal = fmt::format("line {}: {}", row.line, decision.refusal);
}

class Run {
 public:
  // One of the two answers; the other is null.
  Run(LanguageModel* model, LoadedClassifier* classifier, const DecisionFileRequest& request,
      const ProgressSink& progress)
      : model_(model), classifier_(classifier), request_(request), progress_(progress) {}

  DecisionFileReport run();

 private:
  // Rows that are computed together, and the answers to each question: of an extract one for each
  // row that has a text, otherwise one for all of them, or one each where they had to be parted.
  struct Asked {
    std::unique_ptr<Answer> answer;
    std::vector<std::size_t> rows;
  };
  struct Group {
    std::vector<TableRow> rows;
    std::vector<std::vector<Asked>> asked;              // by question
    std::vector<std::vector<Decision>> decisions = {};  // by question, by row
  };

  void open_input();
  void open_output();
  Json description() const;
  void continue_output();
  void check_questions();
  bool read_group(Group& group);
  void start(Group& group);
  void ask(Group& group, std::size_t question, std::vector<std::size_t> rows);
  void finish(Group& group);
  void collect(Group& group, std::size_t question, Asked& asked);
  void escalate(Group& group, std::size_t question);
  std::string lines_of(const Group& group);
  void write(std::string_view lines);
  void report() const;

  LanguageModel* model_;
  LoadedClassifier* classifier_;
  const DecisionFileRequest& request_;
  const ProgressSink& progress_;
  std::optional<base::File> input_;
  std::optional<ResumableFile> output_;
  base::Digest input_digest_;
  std::uint64_t input_rows_ = 0;  // 0 where nobody knows
  std::unique_ptr<TableReader> table_;
  std::vector<DecisionColumns> columns_;
  std::vector<std::string> added_;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  DecisionFileReport report_;
};

// The digest tells whether a partial output is of this input; the rows, how far one is.
void Run::open_input() {
  const bool standard = request_.input == "-";
  const std::string name = standard ? "standard input" : request_.input.string();
  base::CsvReader::Read read = read_standard_input;
  if (!standard) {
    input_ = base::File::open(request_.input);
    const std::uint64_t size = input_->size();
    const ProgressSink& progress = progress_;
    if (!request_.output.empty())  // of which a partial one must be of this input
      input_digest_ = base::digest_file(*input_, [&](std::uint64_t done, std::uint64_t total) {
        if (progress) progress({"reading", done, total});
      });
    const auto counting =
        read_table(request_.format, reader_of(*input_, size), request_.column, name);
    TableRow row;
    while (counting->next(row)) ++input_rows_;
    read = reader_of(*input_, size);
  }
  table_ = read_table(request_.format, std::move(read), request_.column, name);
  columns_ = decision_columns(request_.questions, table_->columns());
  for (const DecisionColumns& columns : columns_)
    for (std::size_t i = 0; i < columns.count(); ++i) added_.push_back(columns.name(i));
}

Json Run::description() const {
  base::Sha256 questions;
  for (const QuestionPointer& question : request_.questions)
    questions.update(canonical_text(*question) + "\n");
  base::Sha256 settings;
  settings.update(request_.settings);
  return {{"version", 1},
          {"input", input_digest_.text()},
          {"questions", questions.finish().text()},
          {"model", request_.model},
          {"settings", settings.finish().text()},
          {"column", request_.column}};
}

void Run::open_output() {
  if (request_.output.empty()) {
    write(table_->header_line(added_));
    return;
  }
  output_.emplace(request_.output, description(),
                  ResumableFile::Options{.overwrite = request_.overwrite,
                                         .start_again = request_.start_again,
                                         .may_continue = input_.has_value()});
  if (output_->continues())
    continue_output();
  else
    write(table_->header_line(added_));
}

void Run::continue_output() {
  const std::string part = output_->part().string();
  const auto written =
      table_->whole_rows(reader_of(output_->file(), output_->file().size()), added_);
  if (!written)
    throw Error(Fault::corrupt_file,
                fmt::format("{} has other columns; --start-again throws it away", part));
  output_->keep(written->bytes);
  if (written->bytes == 0) write(table_->header_line(added_));
  TableRow row;
  for (std::uint64_t i = 0; i < written->rows; ++i)
    if (!table_->next(row))
      throw Error(
          Fault::corrupt_file,
          fmt::format("{} has more rows than the input; --start-again throws it away", part));
  report_.rows = report_.resumed = written->rows;
}

// A question that no row could be asked ends the run before it begins.
void Run::check_questions() {
  if (request_.escalation != nullptr) request_.escalation->prepare(request_.questions);
  if (model_ == nullptr) return;
  for (const QuestionPointer& question : request_.questions)
    model_->prepare(DecisionRequest{.question = question, .texts = {"x"}});
}

bool Run::read_group(Group& group) {
  TableRow row;
  while (group.rows.size() < kGroupRows && table_->next(row)) group.rows.push_back(std::move(row));
  return !group.rows.empty();
}

void Run::start(Group& group) {
  group.asked.resize(request_.questions.size());
  group.decisions.assign(request_.questions.size(), std::vector<Decision>(group.rows.size()));
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < group.rows.size(); ++i) {
    if (group.rows[i].problem.empty())
      rows.push_back(i);
    else
      for (auto& decisions : group.decisions) decisions[i].refusal = group.rows[i].problem;
  }
  for (std::size_t question = 0; question < request_.questions.size(); ++question) {
    if (!extracts(*request_.questions[question])) {
      if (!rows.empty()) ask(group, question, rows);
      continue;
    }
    for (const std::size_t row : rows) ask(group, question, {row});
  }
}

// Rows together; where they are refused together, each alone, so that it is one row's error.
void Run::ask(Group& group, std::size_t question, std::vector<std::size_t> rows) {
  DecisionRequest request{.question = request_.questions[question], .texts = {}};
  for (const std::size_t row : rows) request.texts.push_back(group.rows[row].text);
  request.origin.cache_scope = "file";
  try {
    if (classifier_ != nullptr) {
      std::vector<Decision> decisions = classifier_->decide(request.texts);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        name_line(decisions[i], group.rows[rows[i]]);
        group.decisions[question][rows[i]] = std::move(decisions[i]);
      }
      return;
    }
    auto answers = model_->start(model_->prepare(request));
    group.asked[question].push_back({std::move(answers.front()), std::move(rows)});
  } catch (const Error& error) {
    if (error.fault() != Fault::invalid_argument && error.fault() != Fault::unsupported) throw;
    if (rows.size() == 1)
      group.decisions[question][rows[0]].refusal =
          fmt::format("line {}: {}", group.rows[rows[0]].line, error.what());
    else
      for (const std::size_t row : rows) ask(group, question, {row});
  }
}

void Run::collect(Group& group, std::size_t question, Asked& asked) {
  while (!asked.answer->ended()) {
    while (!asked.answer->wait_for(kPoll)) report();
    asked.answer->poll();
  }
  const GenerationResult& result = asked.answer->result();
  report_.positions += result.prompt_tokens - std::min(result.prompt_tokens, result.cached_tokens) +
                       result.completion_tokens;
  std::vector<Decision> decisions = asked.answer->decisions();
  if (decisions.size() != asked.rows.size())
    throw Error(Fault::cancelled, "the decisions were stopped");
  for (std::size_t i = 0; i < asked.rows.size(); ++i) {
    Decision& decision = group.decisions[question][asked.rows[i]];
    decision = std::move(decisions[i]);
    name_line(decision, group.rows[asked.rows[i]]);
  }
}

// What was abstained from.
void Run::escalate(Group& group, std::size_t question) {
  std::vector<std::size_t> rows;
  std::vector<std::string> texts;
  std::vector<Decision>& decisions = group.decisions[question];
  for (std::size_t i = 0; i < decisions.size(); ++i) {
    if (!decisions[i].refusal.empty() || !decisions[i].abstain) continue;
    rows.push_back(i);
    texts.push_back(group.rows[i].text);
  }
  if (rows.empty()) return;
  auto second = request_.escalation->ask(request_.questions[question], texts, [this] { report(); });
  report_.escalated += rows.size();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    decisions[rows[i]] = std::move(second[i]);
    name_line(decisions[rows[i]], group.rows[rows[i]]);
  }
}

void Run::finish(Group& group) {
  for (std::size_t question = 0; question < group.asked.size(); ++question)
    for (Asked& asked : group.asked[question]) collect(group, question, asked);
  if (request_.escalation != nullptr)
    for (std::size_t question = 0; question < columns_.size(); ++question)
      if (columns_[question].escalates) escalate(group, question);
  write(lines_of(group));
  report_.rows += group.rows.size();
  report();
}

std::string Run::lines_of(const Group& group) {
  std::string lines;
  for (std::size_t row = 0; row < group.rows.size(); ++row) {
    std::vector<std::pair<std::string, Json>> added;
    bool failed = false;
    for (std::size_t question = 0; question < columns_.size(); ++question) {
      const Decision& decision = group.decisions[question][row];
      const DecisionColumns& columns = columns_[question];
      const bool refused = !decision.refusal.empty();
      failed = failed || refused;
      if (decision.abstain) ++report_.abstained;
      const auto values = columns.values_of(decision);
      for (std::size_t i = 0; i < columns.count(); ++i) {
        const bool error = i == DecisionColumns::kError;
        added.emplace_back(columns.name(i), error == refused ? values[i] : Json());
      }
      if (request_.format == TableFormat::json_lines)
        added.emplace_back(columns.prefix + "decision", refused ? Json() : decision.json);
    }
    if (failed) ++report_.failed;
    lines += table_->line_of(group.rows[row], added);
  }
  return lines;
}

void Run::write(std::string_view lines) {
  if (output_)
    output_->write(lines);
  else
    request_.write(lines);
}

void Run::report() const {
  if (progress_) progress_({"deciding", report_.rows, input_rows_, report_.resumed, "rows"});
}

DecisionFileReport Run::run() {
  check_questions();
  open_input();
  open_output();
  std::deque<Group> groups;
  bool more = true;
  while (more || !groups.empty()) {
    while (more && groups.size() < kGroups) {
      Group group;
      more = read_group(group);
      if (!more) break;
      start(group);
      groups.push_back(std::move(group));
    }
    if (groups.empty()) break;
    finish(groups.front());
    groups.pop_front();
  }
  if (output_) output_->complete();
  report_.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
  return report_;
}

}  // namespace

namespace {

DecisionFileReport run_rows(LanguageModel* model, LoadedClassifier* classifier,
                            const DecisionFileRequest& request, const ProgressSink& progress) {
  try {
    return Run(model, classifier, request, progress).run();
  } catch (const std::filesystem::filesystem_error& error) {
    throw Error(Fault::io, error.what());
  }
}

}  // namespace

DecisionFileReport decide_rows(LanguageModel& model, const DecisionFileRequest& request,
                               const ProgressSink& progress) {
  return run_rows(&model, nullptr, request, progress);
}

DecisionFileReport decide_rows(LoadedClassifier& classifier, const DecisionFileRequest& request,
                               const ProgressSink& progress) {
  return run_rows(nullptr, &classifier, request, progress);
}

}  // namespace malina::platform
