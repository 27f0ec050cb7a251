#include "serve/chat_messages.h"

#include <fmt/format.h>

#include <array>

#include "base/quote.h"
#include "serve/api_error.h"

namespace malina::serve {

namespace {

constexpr std::array<std::string_view, 4> kRoles{"system", "developer", "user", "assistant"};

// What a part may hold; which of it is text is decided below, with a message that helps.
constexpr std::array kMessageFields{
    Field{.name = "role", .types = Type::text, .required = true, .words = kRoles},
    Field{.name = "content",
          .types = Type::text | Type::array,
          .item_types = Type::object,
          .open = true,
          .help = "A text, or a list of parts {\"type\": \"text\", \"text\": ...}"},
    Field{.name = "name", .types = Type::text, .longest = 256},
    Field{.name = "refusal", .types = Type::text, .use = Use::inert},
    Field{.name = "annotations", .types = Type::array, .use = Use::inert},
    Field{.name = "audio", .types = Type::object, .use = Use::refused, .neutral = "[]"},
    Field{.name = "tool_calls", .types = Type::array, .use = Use::refused, .neutral = "[[]]"},
    Field{.name = "function_call", .types = Type::object, .use = Use::refused, .neutral = "[]"},
};

std::string joined_parts(const Json& parts, const std::string& place) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string part = fmt::format("{}[{}]", place, i);
    const auto type = parts[i].find("type");
    if (type == parts[i].end() || !type->is_string())
      throw bad_request(fmt::format("'{}.type' is required", part), part + ".type",
                        "missing_required_parameter");
    if (*type != "text")
      throw bad_request(fmt::format("'{}' is of type {}; this server takes text alone", part,
                                    base::in_quotes(type->get_ref<const std::string&>())),
                        part + ".type", "unsupported_parameter");
    const auto content = parts[i].find("text");
    if (content == parts[i].end() || !content->is_string())
      throw bad_request(fmt::format("'{}.text' must be a string", part), part + ".text",
                        "invalid_value");
    for (const auto& [key, value] : parts[i].items())
      if (key != "type" && key != "text")
        throw bad_request(fmt::format("there is no field {} in a text part", base::in_quotes(key)),
                          part, "unknown_parameter");
    text += content->get_ref<const std::string&>();
  }
  return text;
}

}  // namespace

std::span<const Field> message_fields() { return kMessageFields; }

Json template_messages(const Json& messages) {
  Json result = Json::array();
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const Json& message = messages[i];
    const std::string place = fmt::format("messages[{}]", i);
    const auto content = message.find("content");
    if (content == message.end())
      throw bad_request(fmt::format("'{}.content' is required", place), place + ".content",
                        "missing_required_parameter");
    Json plain{
        {"role", message["role"] == "developer" ? Json("system") : message["role"]},
        {"content",
         content->is_string() ? *content : Json(joined_parts(*content, place + ".content"))}};
    if (message.contains("name")) plain["name"] = message["name"];
    result.push_back(std::move(plain));
  }
  return result;
}

}  // namespace malina::serve
