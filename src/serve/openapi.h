// The OpenAPI document of the routes, made from their table.
#pragma once

#include <string>
#include <vector>

#include "serve/field.h"

namespace malina::serve {

// `models`: the names that whoever asks may use; they become the values of every field and path
// parameter "model".
Json openapi_document(const std::vector<std::string>& models);

}  // namespace malina::serve
