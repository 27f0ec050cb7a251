// Files, tuning jobs, their events and checkpoints in the shapes of OpenAI's API, and what the
// routes of both share.
#pragma once

#include <string>
#include <string_view>

#include "platform/tuning_jobs.h"
#include "serve/field.h"

namespace malina::serve {

Json file_json(const platform::DataFile& file);
Json job_json(const platform::TuningJob& job);
Json event_json(const platform::JobEvent& event);
Json checkpoint_json(const platform::JobCheckpoint& checkpoint, const std::string& job_id);

template <class Item, class Shape>
Json list_json(const platform::Page<Item>& page, Shape shape) {
  Json data = Json::array();
  for (const Item& item : page.items) data.push_back(shape(item));
  Json json = Json::object();
  json["object"] = "list";
  json["first_id"] = data.empty() ? Json() : data.front()["id"];
  json["last_id"] = data.empty() ? Json() : data.back()["id"];
  json["data"] = std::move(data);
  json["has_more"] = page.has_more;
  return json;
}

// Of a checked query. `limit`: where none is given.
platform::PageRequest page_of(const Json& query, std::size_t limit);

constexpr Field after_field() {
  return {.name = "after",
          .types = Type::text,
          .longest = 256,
          .help = "The id of the last one that is known: those after it follow"};
}
constexpr Field limit_field(double most) {
  return {.name = "limit", .types = Type::integer, .least = 1, .most = most};
}

// The text of an answer's body.
std::string json_text(const Json& json);

}  // namespace malina::serve
