#include "serve/chat_messages.h"

#include <array>
#include <utility>

namespace malina::serve {

namespace {

constexpr std::array<std::string_view, 4> kRoles{"system", "developer", "user", "assistant"};

constexpr std::array<std::string_view, 1> kPartTypes{"text"};
constexpr std::array kPartFields{
    Field{.name = "type", .types = Type::text, .required = true, .words = kPartTypes},
    Field{.name = "text", .types = Type::text, .required = true},
};
constexpr std::array kMessageFields{
    Field{.name = "role", .types = Type::text, .required = true, .words = kRoles},
    Field{.name = "content",
          .types = Type::text | Type::array,
          .required = true,
          .item_types = Type::object,
          .fields = kPartFields,
          .help = "A text, or a list of parts, which must be text"},
    Field{.name = "name", .types = Type::text, .longest = 256},
    Field{.name = "refusal", .types = Type::text, .use = Use::inert},
    Field{.name = "annotations", .types = Type::array, .use = Use::inert},
    Field{.name = "audio", .types = Type::object, .use = Use::refused, .neutral = "[]"},
    Field{.name = "tool_calls", .types = Type::array, .use = Use::refused, .neutral = "[[]]"},
    Field{.name = "function_call", .types = Type::object, .use = Use::refused, .neutral = "[]"},
};

std::string text_of(Json& content) {
  if (content.is_string()) return std::move(content.get_ref<std::string&>());
  std::string text;
  for (const Json& part : content) text += part["text"].get_ref<const std::string&>();
  return text;
}

}  // namespace

std::span<const Field> message_fields() { return kMessageFields; }

Json template_messages(Json messages) {
  Json result = Json::array();
  for (Json& message : messages) {
    const bool developer = message["role"] == "developer";
    Json plain{{"role", developer ? Json("system") : message["role"]}};
    plain["content"] = text_of(message["content"]);
    if (message.contains("name")) plain["name"] = message["name"];
    result.push_back(std::move(plain));
  }
  return result;
}

}  // namespace malina::serve
