// The OpenAPI document of the routes, made from their table.
#pragma once

#include "serve/field.h"

namespace malina::serve {

Json openapi_document();

}  // namespace malina::serve
