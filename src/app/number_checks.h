// Checks of an option's value that say in plain words what was wrong.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>

namespace malina::app {

// "'-1' is not a whole number from 0 to 1024". CLI11's own conversion takes -1 for the largest
// number, and what is too large too.
CLI::Validator whole_number(std::uint64_t least, std::uint64_t most);

// Tokens of a context: as many as any model may have.
CLI::Validator context_tokens();

// "90d", "1h30m", "45s" (base/quantity.h).
CLI::Validator duration();

// A finite number, as C writes it.
CLI::Validator real_number();

}  // namespace malina::app
