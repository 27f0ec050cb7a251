// A recipe as the manifest and snapshots hold it.
#pragma once

#include <nlohmann/json.hpp>

#include "tune/recipe.h"

namespace malina::tune {

// Everything that decides the result's bits; what only decides time and memory is left out.
nlohmann::ordered_json to_json(const Recipe& recipe);

}  // namespace malina::tune
