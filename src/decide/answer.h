// The answer to a question, and what it says of itself.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "decide/question.h"

namespace malina::decide {

// A stretch of the text, verbatim: code points [start, end), bytes [start_byte, end_byte).
struct Span {
  std::string text;
  std::string type = {};  // of a tagger that knows several; otherwise empty
  std::size_t start = 0, end = 0;
  std::size_t start_byte = 0, end_byte = 0;
  double probability = 0;  // that the model writes it where it does
};

struct Answer {
  // Of each option, in their order: of a choice and a score they sum to one; of a multiple choice
  // each is that of its own Yes. Of a predicate one entry, that it is true. Of extract none.
  std::vector<double> probabilities;
  std::size_t best = 0;             // option of the greatest probability, the first of equals
  std::vector<std::size_t> chosen;  // of a multiple choice: those above one half
  bool holds = false;               // of a predicate: its probability is above one half
  double score = 0;                 // of a score: the mean level, from 0
  std::vector<Span> spans;          // of extract, in the order of the model's answer

  // That the answer is right, if the probabilities are: of the best option; of a predicate the
  // greater of p and 1 - p; of a multiple choice the product of those; of extract that the model
  // writes exactly this.
  double probability = 0;
  // 0 where it knows nothing, 1 where it is certain. Of a choice (p - 1/n) / (1 - 1/n); of a
  // predicate |2p - 1|, of a multiple choice the least of those; of a score 1 less the mean
  // distance from the likeliest level, as a part of what it is where all levels are alike; of
  // extract its probability.
  double confidence = 0;
  // That the model answers with any of the labels at all, before they are made to sum to one; of a
  // multiple choice the least of its values'. Of extract 1: nothing else can be written.
  double label_mass = 0;
  bool calibrated = false;
  bool abstain = false;  // the probability is below the threshold
  std::string escalated_to = {};

  std::size_t prompt_tokens = 0;  // that this answer took, with what it shares with others

  // Read from what another program wrote (written_answer.h): then probabilities, probability,
  // confidence and label_mass are not known, and are null in JSON. At most a lower bound of the
  // probability is.
  bool written = false;
  std::optional<double> probability_at_least = {};
};

// Fitted on validation data: the scores of labels are divided by the temperature before they are
// made to sum to one, and the threshold takes the place of the question's own.
struct Calibration {
  double temperature = 1;
  std::optional<double> abstain_below = {};
};

// OpenAI's wire (types/decision.py) with fields of ours: answer, calibrated, abstain, escalated_to,
// label_mass; choices of a multiple choice; spans.
Json to_json(const Question& question, const Answer& answer);
// As POST /v1/systemone answers.
Json to_systemone(const Question& question, const Answer& answer);
// For a table: "card_arrival", "true", "a; b", "low".
std::string answer_text(const Question& question, const Answer& answer);

}  // namespace malina::decide
