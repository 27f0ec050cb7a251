#include "platform/model_name.h"

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/error.h"

namespace malina::platform {

namespace {

constexpr std::size_t kLongest = 128;

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_inner(char c) { return is_word(c) || c == '.' || c == '_' || c == '-'; }

std::string_view part_fault(std::string_view part) {
  if (part.empty()) return "is empty, or empty before or after its colon";
  for (const char c : part)
    if (!is_inner(c)) return "may hold only a-z, 0-9, '.', '_', '-' and one ':' before a tag";
  if (!is_word(part.front())) return "must begin with a letter or a digit, and so must its tag";
  return "";
}

}  // namespace

std::string_view name_fault(std::string_view name) {
  if (name.size() > kLongest) return "is longer than 128 characters";
  const std::size_t colon = name.find(':');
  const std::string_view fault = part_fault(name.substr(0, colon));
  if (!fault.empty() || colon == std::string_view::npos) return fault;
  return part_fault(name.substr(colon + 1));
}

void check_name(std::string_view name) {
  const std::string_view fault = name_fault(name);
  if (fault.empty()) return;
  const std::string proposal = sanitised_name(name);
  throw base::Error(base::Fault::invalid_argument,
                    fmt::format("the name '{}' {}{}", name.substr(0, kLongest), fault,
                                proposal.empty() ? "" : "; try '" + proposal + "'"));
}

std::string sanitised_name(std::string_view text) {
  std::string name;
  for (char c : text.substr(0, kLongest)) {
    c = base::ascii_lower(c);
    if (is_word(c))
      name += c;
    else if (!name.empty() && is_word(name.back()))  // runs of other characters become one
      name += is_inner(c) ? c : '-';
  }
  while (!name.empty() && !is_word(name.back())) name.pop_back();
  return name;
}

}  // namespace malina::platform
