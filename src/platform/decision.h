// Typed questions to a loaded model and their answers, as plain values (decide/question.h says what
// they are).
#pragma once

#include <cstddef>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace malina::decide {
struct Question;
}

namespace malina::platform {

using QuestionPointer = std::shared_ptr<const decide::Question>;

// Throw base::Error(invalid_argument) with the JSON path, corrupt_file for what is no JSON.
std::vector<QuestionPointer> read_questions(std::string_view json, const std::string& file);
std::vector<QuestionPointer> questions_of(const nlohmann::ordered_json& json,
                                          const std::string& path);
std::vector<QuestionPointer> systemone_questions_of(const nlohmann::ordered_json& json,
                                                    const std::string& path,
                                                    const nlohmann::ordered_json& abstain,
                                                    const nlohmann::ordered_json& escalate_to);
// A text, or a list of OpenAI's parts input_text and input_json, as a text.
std::string text_of_parts(const nlohmann::ordered_json& json, const std::string& path);
std::string question_name(const decide::Question& question);  // may be empty
std::string escalation_of(const decide::Question& question);  // who is asked instead; may be empty
// The same question, asked of this one where it abstains.
QuestionPointer with_escalation(const decide::Question& question, std::string target);
bool extracts(const decide::Question& question);  // its answer is pieces of the text
// The same bytes for the same question: for digests.
std::string canonical_text(const decide::Question& question);

// One question about one text.
struct Decision {
  std::string refusal;  // why there is no answer: the text is empty, not UTF-8, too long
  std::string answer;   // "card_arrival", "true", "a; b"
  double probability = 0, confidence = 0, label_mass = 0;
  bool calibrated = false, abstain = false;
  nlohmann::ordered_json json;       // as POST /v1/decisions answers
  nlohmann::ordered_json systemone;  // as POST /v1/systemone does
};
// Writes into an answer that this model gave it in place of the one that was asked first.
void note_escalation(Decision& decision, const std::string& target);

}  // namespace malina::platform
