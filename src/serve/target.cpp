#include "serve/target.h"

#include <algorithm>

#include "base/ascii.h"
#include "serve/api_error.h"

namespace malina::serve {

namespace {

// The scheme before "://", in lower case; "" where there is none.
std::string scheme_of(std::string_view target) {
  const std::size_t end = target.find("://");
  if (end == std::string_view::npos || target.starts_with('/')) return {};
  const std::string scheme = base::ascii_lower(target.substr(0, end));
  const bool name = std::ranges::all_of(scheme, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
  });
  return name ? scheme : std::string();
}

}  // namespace

Target parse_target(std::string_view text) {
  Target target;
  const std::string scheme = scheme_of(text);
  if (!scheme.empty()) {
    target.absolute = true;
    target.https = scheme == "https";
    if (scheme != "http" && !target.https)
      throw bad_request("the request's target is neither an http nor an https address");
    text.remove_prefix(scheme.size() + std::string_view("://").size());
    target.authority = text.substr(0, text.find_first_of("/?#"));
    text.remove_prefix(target.authority.size());
    if (target.authority.empty() || target.authority.starts_with(':') ||
        target.authority.find('@') != std::string::npos)
      throw bad_request("the request's target has no host, or more than a host and a port");
  }
  target.path = text.substr(0, text.find_first_of("?#"));
  if (target.path.empty() && target.absolute) target.path = "/";
  return target;
}

}  // namespace malina::serve
