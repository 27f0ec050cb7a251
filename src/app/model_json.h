// The JSON of models, the same from every command. Keys: docs/reference/json.md.
#pragma once

#include "app/console.h"
#include "platform/model_store.h"

namespace malina::app {

Json model_json(const platform::ModelRecord& model);
std::string short_digest(const base::Digest& digest);  // its first 12 digits

}  // namespace malina::app
