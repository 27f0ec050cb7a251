// Names of models in the store: `smollm2-135m-instruct`, `support:2024-06`.
#pragma once

#include <string>
#include <string_view>

namespace malina::platform {

// A name is letters a-z, digits and `.`, `_`, `-`, beginning with a letter or digit, and perhaps a
// tag of the same kind after one colon; at most 128 characters. Returns what is wrong with `name`,
// as the end of a sentence, or nothing.
std::string_view name_fault(std::string_view name);

// Throws base::Error(invalid_argument), with a valid name proposed where there is one.
void check_name(std::string_view name);

// The nearest valid name: "SmolLM2 135M Instruct" gives "smollm2-135m-instruct"; "" if nothing is
// left.
std::string sanitised_name(std::string_view text);

}  // namespace malina::platform
