// One row of a data set, whatever file it came from: what the trainer, the baseline and the checks
// share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

namespace malina::tune {

// A span of `Example::text`, in bytes of its UTF-8, end exclusive; it begins and ends between
// characters and is not empty. (Files count in Unicode code points, as Python does; the reader
// converts.)
struct Slot {
  std::size_t start = 0, end = 0;
  std::string type;
  bool operator==(const Slot&) const = default;
};

// A message of a conversation, as a chat template takes it.
struct Message {
  std::string role;     // "system", "user", "assistant" or "tool"
  std::string content;  // "" where an assistant only calls tools
  // What else the template may read: "tool_calls", "tool_call_id", "name". An object.
  nlohmann::ordered_json fields = nlohmann::ordered_json::object();
  float weight = 0;  // of its tokens in the loss: 1 for an answer to be learned, otherwise 0
};

// A text and what is to be said of it.
struct Classification {
  std::string text;
  std::vector<std::string> labels;  // distinct, in the file's order
  // Several labels may hold at once, so that none is an answer too. Otherwise labels has one, or
  // none where the row has slots alone.
  bool multiple = false;
  std::vector<Slot> slots;  // in order of their start; they may nest or overlap
  bool has_slots = false;   // an empty list of slots says that there are none in this text
};

// A text and how it goes on: without a chat template. The completion is what is learned. Where a
// row is a text alone the prompt is empty.
struct Completion {
  std::string prompt, completion;
};

struct Conversation {
  std::vector<Message> messages;  // at least one has a weight
  nlohmann::ordered_json tools;   // an array as OpenAI's, or null
};

// Where a row stands in its file.
struct RowPlace {
  std::uint64_t line = 0;    // of its first byte; the first line is 1
  std::uint64_t offset = 0;  // in bytes
  std::uint64_t bytes = 0;   // without the line end or comma that follows it
};

struct Example {
  RowPlace place;
  std::variant<Classification, Completion, Conversation> content;
  std::string licence;  // what the row itself says, else ""

  const Classification* classification() const { return std::get_if<Classification>(&content); }
  const Completion* completion() const { return std::get_if<Completion>(&content); }
  const Conversation* conversation() const { return std::get_if<Conversation>(&content); }
};

// The messages as text::TemplateInput takes them.
nlohmann::ordered_json template_messages(const Conversation& conversation);

}  // namespace malina::tune
