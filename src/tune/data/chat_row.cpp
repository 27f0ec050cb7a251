// Rows that are conversations: OpenAI's messages, ShareGPT's, Alpaca's; and completions.
#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "base/json_text.h"
#include "tune/data/plain_text.h"
#include "tune/data/row_parser.h"

namespace malina::tune {

using Json = nlohmann::ordered_json;

namespace {

const Json& list_member(const Json& row, std::string_view key) {
  const Json* list = member(row, key);
  if (list == nullptr) throw BadRow{fmt::format("there is no '{}'", key)};
  if (!list->is_array()) throw BadRow{fmt::format("'{}' is no list", key)};
  if (list->empty()) throw BadRow{fmt::format("'{}' is empty", key)};
  return *list;
}

// "messages[3]: ..." from one, as people count.
[[noreturn]] void bad_message(std::size_t index, const std::string& what) {
  throw BadRow{fmt::format("message {}: {}", index + 1, what)};
}

std::string content_of(const Json& message) {
  const Json* content = member(message, "content");
  if (content == nullptr) return {};
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) throw BadRow{"'content' is neither a text nor a list of parts"};
  std::string text;
  for (const Json& part : *content) {
    if (!part.is_object()) throw BadRow{"a part of 'content' is no object"};
    const std::string& type = text_member(part, "type");
    if (type != "text")
      throw BadRow{fmt::format("a part of 'content' is of type {}: only text can be learned from",
                               in_readable_quotes(type))};
    text += text_member(part, "text");
  }
  return text;
}

std::string role_of(const Json& message) {
  const std::string& role = text_member(message, "role");
  if (role == "developer") return "system";
  for (const std::string_view known : {"system", "user", "assistant", "tool"})
    if (role == known) return role;
  throw BadRow{fmt::format("role {} is none of system, developer, user, assistant and tool",
                           in_readable_quotes(role))};
}

// OpenAI's `weight`: 0 or 1, of an assistant's messages.
float weight_of(const Json& message, bool assistant, bool answers_are_learned) {
  const Json* weight = member(message, "weight");
  if (weight == nullptr) return assistant && answers_are_learned ? 1.0F : 0.0F;
  if (!weight->is_number() || (*weight != 0 && *weight != 1))
    throw BadRow{"'weight' is neither 0 nor 1"};
  if (!assistant && *weight != 0) throw BadRow{"only an assistant's message can have a 'weight'"};
  return weight->get<float>();
}

void check_tool_calls(const Json& calls) {
  if (!calls.is_array() || calls.empty()) throw BadRow{"'tool_calls' is no list of calls"};
  for (const Json& call : calls) {
    const Json* function = call.is_object() ? member(call, "function") : nullptr;
    if (function == nullptr || !function->is_object())
      throw BadRow{"a call of 'tool_calls' has no 'function'"};
    text_member(*function, "name");
    const Json* arguments = member(*function, "arguments");
    if (arguments == nullptr || !(arguments->is_string() || arguments->is_object()))
      throw BadRow{"the 'arguments' of a tool call are neither JSON in a text nor an object"};
  }
}

Message read_message(const Json& message, bool answers_are_learned) {
  if (!message.is_object()) throw BadRow{"it is no object"};
  Message read{.role = role_of(message),
               .content = content_of(message),
               .fields = Json::object(),
               .weight = 0};
  const bool assistant = read.role == "assistant";
  if (member(message, "function_call") != nullptr)
    throw BadRow{"'function_call' is of an older form: write 'tool_calls'"};
  const Json* calls = member(message, "tool_calls");
  if (calls != nullptr) {
    if (!assistant) throw BadRow{"only an assistant can have 'tool_calls'"};
    check_tool_calls(*calls);
  }
  // A tool may answer nothing; who asks or answers says something.
  if (calls == nullptr && read.role != "tool" && is_blank(read.content))
    throw BadRow{fmt::format("the {}'s 'content' is empty", read.role)};
  for (const std::string_view key : {"name", "tool_calls", "tool_call_id"})
    if (const Json* value = member(message, key)) read.fields[std::string(key)] = *value;
  read.weight = weight_of(message, assistant, answers_are_learned);
  return read;
}

Json text_as_json(const std::string& text, std::string_view what) {
  try {
    return base::parse_json<Json>(text, "", {.depth = 32, .members = 1024});
  } catch (const base::Error&) {
    throw BadRow{fmt::format("{} is not JSON", what)};
  }
}

std::string sharegpt_role(const std::string& from) {
  static constexpr std::pair<std::string_view, std::string_view> kRoles[]{
      {"human", "user"},          {"user", "user"},
      {"gpt", "assistant"},       {"chatgpt", "assistant"},
      {"assistant", "assistant"}, {"model", "assistant"},
      {"system", "system"},       {"observation", "tool"},
      {"tool", "tool"},           {"function_call", "assistant"}};
  for (const auto& [name, role] : kRoles)
    if (name == from) return std::string(role);
  throw BadRow{
      fmt::format("'from' is {}, which is none of human, gpt, system, function_call and "
                  "observation",
                  in_readable_quotes(from))};
}

// {"name": ..., "arguments": ...}, or a list of those, as OpenAI's tool calls.
Json sharegpt_calls(const std::string& value) {
  Json given = text_as_json(value, "the value of a function_call");
  if (given.is_object()) given = Json::array({std::move(given)});
  Json calls = Json::array();
  for (const Json& call : given) {
    if (!call.is_object() || member(call, "name") == nullptr)
      throw BadRow{"a function_call has no 'name'"};
    calls.push_back({{"type", "function"}, {"function", call}});
  }
  check_tool_calls(calls);
  return calls;
}

Message sharegpt_message(const Json& turn) {
  if (!turn.is_object()) throw BadRow{"it is no object"};
  if (turn.contains("role") && !turn.contains("from")) return read_message(turn, true);
  const std::string& from = text_member(turn, "from");
  const std::string& value = text_member(turn, "value");
  Message read{.role = sharegpt_role(from), .content = {}, .fields = Json::object(), .weight = 0};
  if (from == "function_call")
    read.fields["tool_calls"] = sharegpt_calls(value);
  else
    read.content = value;
  if (from != "function_call" && read.role != "tool" && is_blank(value))
    throw BadRow{"its 'value' is empty"};
  read.weight = weight_of(turn, read.role == "assistant", true);
  return read;
}

Message plain_message(std::string role, std::string content) {
  const bool answer = role == "assistant";
  return {.role = std::move(role),
          .content = std::move(content),
          .fields = Json::object(),
          .weight = answer ? 1.0F : 0.0F};
}

// LLaMA-Factory's form: pairs of a question and its answer, which are learned as well.
void add_history(const Json& row, std::vector<Message>& messages) {
  const Json* history = member(row, "history");
  if (history == nullptr) return;
  if (!history->is_array()) throw BadRow{"'history' is no list of pairs"};
  for (const Json& pair : *history) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string())
      throw BadRow{"'history' has something other than pairs of texts"};
    messages.push_back(plain_message("user", pair[0].get<std::string>()));
    messages.push_back(plain_message("assistant", pair[1].get<std::string>()));
  }
}

}  // namespace

std::vector<Message> read_messages(const Json& list, bool answers_are_learned) {
  std::vector<Message> messages;
  for (std::size_t i = 0; i < list.size(); ++i) {
    try {
      messages.push_back(read_message(list[i], answers_are_learned));
    } catch (const BadRow& bad) {
      bad_message(i, bad.what);
    }
  }
  return messages;
}

Json read_tools(const Json& row) {
  const Json* tools = member(row, "tools");
  if (tools == nullptr) return nullptr;
  Json list = *tools;
  if (list.is_string())
    list = is_blank(list.get_ref<const std::string&>())
               ? Json::array()
               : text_as_json(list.get<std::string>(), "'tools'");
  if (!list.is_array()) throw BadRow{"'tools' is no list"};
  for (const Json& tool : list)
    if (!tool.is_object()) throw BadRow{"'tools' has something that is no object"};
  return list.empty() ? Json() : list;
}

Conversation checked_conversation(std::vector<Message> messages, Json tools) {
  for (const Message& message : messages)
    if (message.weight > 0) return {std::move(messages), std::move(tools)};
  throw BadRow{"there is no answer to learn from: no message of an assistant has a weight"};
}

RowContent chat_row(const Json& row) {
  return checked_conversation(read_messages(list_member(row, "messages"), true), read_tools(row));
}

RowContent completion_row(const Json& row) {
  const Json* prompt = member(row, "prompt");
  const Json* completion = member(row, "completion");
  if (prompt == nullptr || completion == nullptr)
    throw BadRow{fmt::format("there is no '{}'", prompt == nullptr ? "prompt" : "completion")};
  if (prompt->is_array() != completion->is_array())
    throw BadRow{"of 'prompt' and 'completion' one is a list of messages and the other is not"};
  if (prompt->is_array()) {
    auto messages = read_messages(list_member(row, "prompt"), false);
    for (Message& message : read_messages(list_member(row, "completion"), true))
      messages.push_back(std::move(message));
    return checked_conversation(std::move(messages), read_tools(row));
  }
  Completion read{text_member(row, "prompt"), text_member(row, "completion")};
  if (is_blank(read.completion))
    throw BadRow{"there is nothing to learn: the 'completion' is empty"};
  return read;
}

RowContent text_row(const Json& row) {
  Completion read{"", text_member(row, "text")};
  if (is_blank(read.completion)) throw BadRow{"there is nothing to learn: the 'text' is empty"};
  return read;
}

RowContent alpaca_row(const Json& row) {
  const std::string instruction = optional_text(row, "instruction");
  const std::string input = optional_text(row, "input"), system = optional_text(row, "system");
  const std::string& output = text_member(row, "output");
  if (is_blank(instruction) && is_blank(input)) throw BadRow{"'instruction' and 'input' are empty"};
  if (is_blank(output)) throw BadRow{"there is nothing to learn: the 'output' is empty"};
  std::vector<Message> messages;
  if (!is_blank(system)) messages.push_back(plain_message("system", system));
  add_history(row, messages);
  messages.push_back(plain_message("user", is_blank(input)         ? instruction
                                           : is_blank(instruction) ? input
                                                                   : instruction + "\n" + input));
  messages.push_back(plain_message("assistant", output));
  return checked_conversation(std::move(messages), read_tools(row));
}

RowContent sharegpt_row(const Json& row) {
  const Json& turns = list_member(row, "conversations");
  std::vector<Message> messages;
  if (const std::string system = optional_text(row, "system"); !is_blank(system))
    messages.push_back(plain_message("system", system));
  for (std::size_t i = 0; i < turns.size(); ++i) {
    try {
      messages.push_back(sharegpt_message(turns[i]));
    } catch (const BadRow& bad) {
      bad_message(i, bad.what);
    }
  }
  return checked_conversation(std::move(messages), read_tools(row));
}

}  // namespace malina::tune
