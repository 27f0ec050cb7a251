#include "decide/answer.h"

namespace malina::decide {

namespace {

Json value_of(const Option& option) {
  if (option.boolean) return option.label == "true";
  return option.label;
}

// What is not known of an answer that was written elsewhere is null.
Json known(const Answer& answer, double value) { return answer.written ? Json() : Json(value); }

Json span_json(const Span& span, const Answer& answer) {
  Json json{{"text", span.text},         {"start", span.start},
            {"end", span.end},           {"start_byte", span.start_byte},
            {"end_byte", span.end_byte}, {"probability", known(answer, span.probability)}};
  if (!span.type.empty()) json["type"] = span.type;
  return json;
}

void add_own_fields(Json& json, const Answer& answer) {
  if (answer.written)
    json["probability_at_least"] =
        answer.probability_at_least ? Json(*answer.probability_at_least) : Json();
  json["label_mass"] = known(answer, answer.label_mass);
  json["calibrated"] = answer.calibrated;
  json["abstain"] = answer.abstain;
  json["escalated_to"] = answer.escalated_to.empty() ? Json() : Json(answer.escalated_to);
}

void add_choice(Json& json, const Question& question, const Answer& answer) {
  json["choice"] = value_of(question.options[answer.best]);
  json["confidence"] = known(answer, answer.confidence);
  Json& probabilities = json["probabilities"];
  if (answer.written) return;
  probabilities = Json::array();
  for (std::size_t i = 0; i < question.options.size(); ++i)
    probabilities.push_back(
        {{"value", value_of(question.options[i])}, {"probability", answer.probabilities[i]}});
  if (!question.multiple) return;
  json["multiple"] = true;
  Json& choices = json["choices"] = Json::array();
  for (const std::size_t i : answer.chosen) choices.push_back(value_of(question.options[i]));
}

void add_score(Json& json, const Question& question, const Answer& answer) {
  json["score"] = answer.score;
  json["level"] = question.options[answer.best].label;
  json["confidence"] = known(answer, answer.confidence);
  Json& probabilities = json["probabilities"];
  if (answer.written) return;
  probabilities = Json::array();
  for (std::size_t i = 0; i < question.options.size(); ++i)
    probabilities.push_back({{"label", question.options[i].label},
                             {"value", i},
                             {"probability", answer.probabilities[i]}});
}

}  // namespace

Json to_json(const Question& question, const Answer& answer) {
  Json json{{"type", name(question.type)}};
  json["name"] = question.name.empty() ? Json() : Json(question.name);
  switch (question.type) {
    case QuestionType::predicate:
      json["probability"] = answer.written ? Json() : Json(answer.probabilities[0]);
      json["answer"] = answer.holds;
      json["confidence"] = known(answer, answer.confidence);
      break;
    case QuestionType::choice:
      add_choice(json, question, answer);
      break;
    case QuestionType::score:
      add_score(json, question, answer);
      break;
    case QuestionType::extract:
      json["spans"] = Json::array();
      for (const Span& span : answer.spans) json["spans"].push_back(span_json(span, answer));
      json["probability"] = known(answer, answer.probability);
      json["confidence"] = known(answer, answer.confidence);
      break;
  }
  add_own_fields(json, answer);
  return json;
}

Json to_systemone(const Question& question, const Answer& answer) {
  Json json;
  Json probabilities = Json::object();
  const bool score = question.type == QuestionType::score;
  if (answer.written)
    probabilities = Json();
  else if (question.type == QuestionType::predicate)
    probabilities = {{"false", 1 - answer.probabilities[0]}, {"true", answer.probabilities[0]}};
  else
    for (std::size_t i = 0; i < question.options.size(); ++i)
      probabilities[score ? std::to_string(i) : question.options[i].label] =
          answer.probabilities[i];
  if (question.type == QuestionType::predicate) {
    json = {{"type", "noul"}, {"noul", answer.written ? Json() : Json(answer.probabilities[0])}};
    if (answer.written) json["answer"] = answer.holds;
  } else if (score) {
    json = {{"type", "score"}, {"score", answer.score}};
    for (std::size_t i = 0; i < question.options.size(); ++i)
      json["legend"][std::to_string(i)] = question.options[i].label;
  } else {
    json = {{"type", "choice"}, {"choice", question.options[answer.best].label}};
  }
  json["probabilities"] = std::move(probabilities);
  if (question.type != QuestionType::predicate)
    json["confidence"] = known(answer, answer.confidence);
  json["answer_confidence"] = known(answer, answer.probability);
  json["abstained"] = answer.abstain;
  add_own_fields(json, answer);
  return json;
}

std::string answer_text(const Question& question, const Answer& answer) {
  std::string text;
  const auto add = [&](const std::string& each) {
    if (!text.empty()) text += "; ";
    text += each;
  };
  switch (question.type) {
    case QuestionType::predicate:
      return answer.holds ? "true" : "false";
    case QuestionType::extract:
      for (const Span& span : answer.spans)
        add(span.type.empty() ? span.text : span.type + ": " + span.text);
      return text;
    default:
      if (!question.multiple) return question.options[answer.best].label;
      for (const std::size_t i : answer.chosen) add(question.options[i].label);
      return text;
  }
}

}  // namespace malina::decide
