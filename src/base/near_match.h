// "Did you mean": the known words that are nearest to a mistyped one.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace malina::base {

// At most `most` of `known`, nearest first: those within a third of the word's length in edits
// (insert, delete, replace, swap neighbours; upper and lower case are the same), then those that
// contain the word or begin it. Empty where nothing is near.
std::vector<std::string> near_matches(std::string_view typed, std::span<const std::string> known,
                                      std::size_t most = 3);

// "; did you mean 'a' or 'b'?", or nothing.
std::string did_you_mean(std::string_view typed, std::span<const std::string> known);

}  // namespace malina::base
