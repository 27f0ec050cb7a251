#include "platform/decision.h"

#include "decide/question.h"
#include "decide/question_fields.h"

namespace malina::platform {

namespace {

std::vector<QuestionPointer> shared(std::vector<decide::Question> questions) {
  std::vector<QuestionPointer> pointers;
  for (decide::Question& each : questions)
    pointers.push_back(std::make_shared<decide::Question>(std::move(each)));
  return pointers;
}

}  // namespace

std::vector<QuestionPointer> read_questions(std::string_view json, const std::string& file) {
  return shared(decide::parse_question_file(json, file));
}

std::vector<QuestionPointer> questions_of(const nlohmann::ordered_json& json,
                                          const std::string& path) {
  return shared(decide::parse_questions(json, path));
}

std::vector<QuestionPointer> systemone_questions_of(const nlohmann::ordered_json& json,
                                                    const std::string& path,
                                                    const nlohmann::ordered_json& abstain,
                                                    const nlohmann::ordered_json& escalate_to) {
  return shared(decide::parse_systemone(json, path, abstain, escalate_to));
}

std::string text_of_parts(const nlohmann::ordered_json& json, const std::string& path) {
  return decide::text_of_parts(json, path);
}

std::string question_name(const decide::Question& question) { return question.name; }
std::string escalation_of(const decide::Question& question) { return question.escalate_to; }
QuestionPointer with_escalation(const decide::Question& question, std::string target) {
  auto copy = std::make_shared<decide::Question>(question);
  copy->escalate_to = std::move(target);
  return copy;
}
void note_escalation(Decision& decision, const std::string& target) {
  decision.json["escalated_to"] = target;
  if (decision.systemone.is_object()) decision.systemone["escalated_to"] = target;
}
bool extracts(const decide::Question& question) {
  return question.type == decide::QuestionType::extract;
}

std::string canonical_text(const decide::Question& question) {
  nlohmann::ordered_json json{{"type", decide::name(question.type)},
                              {"name", question.name},
                              {"instructions", question.instructions},
                              {"multiple", question.multiple},
                              {"mean", question.normalisation == decide::Normalisation::mean},
                              {"prior", question.subtract_prior},
                              {"escalate_to", question.escalate_to},
                              {"most_spans", question.most_spans}};
  if (question.abstain_below) json["abstain_below"] = *question.abstain_below;
  json["options"] = nlohmann::ordered_json::array();
  for (const decide::Option& option : question.options)
    json["options"].push_back({option.label, option.description, option.boolean});
  return json.dump();
}

}  // namespace malina::platform
