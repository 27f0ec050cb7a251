// A model as GET /v1/models shows it.
#pragma once

#include "platform/service.h"
#include "serve/field.h"

namespace malina::serve {

inline Json model_json(const platform::ListedModel& model) {
  Json json{{"id", model.name},           {"object", "model"},
            {"created", model.created},   {"owned_by", "malina"},
            {"digest", model.digest},     {"family", model.family},
            {"encoding", model.encoding}, {"size_bytes", model.size_bytes}};
  if (!model.alias_of.empty()) json["alias_of"] = model.alias_of;
  if (!model.kind.empty()) json["kind"] = model.kind;
  if (!model.base.empty()) json["base"] = model.base;
  return json;
}

}  // namespace malina::serve
