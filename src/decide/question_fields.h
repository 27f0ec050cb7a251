// The members of one JSON object of foreign origin, each failure with its path.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "decide/question.h"

namespace malina::decide {

// invalid_argument: "questions[0].choices[2].value: is empty", with the path as its parameter.
base::Error refusal(const std::string& path, std::string_view what);
void check_size(std::string_view text, std::size_t most_bytes, const std::string& path);
// Not empty, UTF-8, one line, no white space around it.
void check_label(std::string_view label, std::size_t most_bytes, const std::string& path);
// At least two, not too many, no label twice.
void check_options(const std::vector<Option>& options, const std::string& path, std::size_t most);
// A text, or a list of {"type": "input_text", "text"} and {"type": "input_json", "data"}.
std::string text_of_parts(const Json& json, const std::string& path);

class Fields {
 public:
  // Throws where `json` is no object or has a member that is not `known`. Borrows `json`.
  Fields(const Json& json, std::string path, const std::vector<std::string>& known);

  std::string path(std::string_view member) const;
  const Json* find(std::string_view member) const;  // null where it is absent or null
  const Json& required(std::string_view member) const;
  std::string text(std::string_view member, std::size_t most_bytes) const;  // "" where absent
  std::string word(std::string_view member, const std::vector<std::string>& words) const;
  bool flag(std::string_view member) const;  // false where absent
  std::optional<double> number(std::string_view member, double least, double most) const;
  // Throws where the member is there and `allowed` is false.
  void only_for(std::string_view member, bool allowed, std::string_view what) const;

 private:
  const Json& json_;
  std::string path_;
};

}  // namespace malina::decide
