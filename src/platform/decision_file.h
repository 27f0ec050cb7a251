// Questions about every row of a table: read in rows, asked many at once, written in order, resumed
// after a kill.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/decision.h"
#include "platform/decision_rows.h"
#include "platform/progress.h"

namespace malina::platform {

class LanguageModel;
class LoadedClassifier;
class LocalEscalation;

struct DecisionFileRequest {
  std::vector<QuestionPointer> questions;
  std::filesystem::path input;  // "-": standard input, whose answers cannot be resumed
  TableFormat format = TableFormat::csv;
  std::string column = {};            // with the texts; "" as of read_table()
  std::filesystem::path output = {};  // "": `write` gets the lines
  std::function<void(std::string_view line)> write = {};
  bool overwrite = false;    // an output that is there already
  bool start_again = false;  // what an interrupted run has left is thrown away
  // What a row's answer abstained from is asked of others, where its question has somebody.
  LocalEscalation* escalation = nullptr;
  // The digest of the model's file, and what else decides the answers: a partial output of others
  // is not continued.
  std::string model = {}, settings = {};
};

struct DecisionFileReport {
  std::uint64_t rows = 0;       // all of the input, with those of
  std::uint64_t resumed = 0;    // an earlier run
  std::uint64_t failed = 0;     // of this run: rows with an error
  std::uint64_t abstained = 0;  // of this run: answers
  std::uint64_t escalated =
      0;  // of this run: rows that were asked of another model, and had an answer or an error
  std::uint64_t positions = 0;  // of this run: that were computed
  double seconds = 0;           // of this run
};

// Adds to each row, for each question, answer, probability, confidence, label_mass, abstain and
// error, and escalated_to where somebody else may be asked (with the question's name before them
// where there are several questions; with "decision_" where the table has such a column). A row
// that cannot be answered has an error and no answer. The bytes do not depend on how rows were
// grouped, nor on kills.
//
// With an output, rows go to "OUTPUT.part", and "OUTPUT.part.json" says of what: a run that finds
// them goes on after the last whole row, if input, questions, model and settings are the same, and
// otherwise throws already_exists and says which is not. Throws what a question throws that no row
// could be asked; io; cancelled from `progress`, which leaves what was written.
DecisionFileReport decide_rows(LanguageModel& model, const DecisionFileRequest& request,
                               const ProgressSink& progress = {});
// The same by a tuned classifier; its question is the only one.
DecisionFileReport decide_rows(LoadedClassifier& classifier, const DecisionFileRequest& request,
                               const ProgressSink& progress = {});

}  // namespace malina::platform
