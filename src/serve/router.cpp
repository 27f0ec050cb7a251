#include "serve/router.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"
#include "platform/service.h"
#include "serve/api_error.h"

namespace malina::serve {

namespace {

// "[::1]:80" is "::1", "localhost:80" is "localhost".
std::string host_alone(std::string_view header) {
  if (header.starts_with('[')) {
    const std::size_t close = header.find(']');
    const std::string_view rest =
        close == std::string_view::npos ? std::string_view("?") : header.substr(close + 1);
    if (!rest.empty() && (!rest.starts_with(':') ||
                          rest.find_first_not_of("0123456789", 1) != std::string_view::npos))
      return {};
    return base::ascii_lower(header.substr(1, close - 1));
  }
  const std::size_t colon = header.find(':');
  if (colon != std::string_view::npos && header.find(':', colon + 1) != std::string_view::npos)
    return {};  // an IPv6 address needs its brackets
  if (colon != std::string_view::npos &&
      header.find_first_not_of("0123456789", colon + 1) != std::string_view::npos)
    return {};
  std::string host = base::ascii_lower(header.substr(0, colon));
  if (host.ends_with('.')) host.pop_back();
  return host;
}

// The parameter where the path fits; nullopt where it does not.
std::optional<std::string> fit(std::string_view pattern, std::string_view path) {
  const std::size_t open = pattern.find('{');
  if (open == std::string_view::npos)
    return pattern == path ? std::optional<std::string>("") : std::nullopt;
  const std::string_view after = pattern.substr(pattern.find('}') + 1);
  if (path.size() <= open + after.size() || path.substr(0, open) != pattern.substr(0, open) ||
      !path.ends_with(after))
    return std::nullopt;
  const std::string_view middle = path.substr(open, path.size() - open - after.size());
  if (middle.find('/') != std::string_view::npos) return std::nullopt;
  return percent_decoded(middle);
}

ApiError not_found(const RequestHead& head) {
  return {.status = 404,
          .type = "not_found_error",
          .code = "unknown_url",
          .message = "there is no route " + head.method + " " + head.path.substr(0, 200)};
}

platform::Caller authenticate(const RequestHead& head, platform::Service& service) {
  if (const auto token = bearer(head.authorization)) return service.authenticate(*token);
  if (!head.authorization && head.from_loopback && !head.has_origin)
    if (auto caller = service.loopback_caller()) return *std::move(caller);
  return service.authenticate("");  // refused as every other key that is not one
}

}  // namespace

std::string_view name(Method method) {
  switch (method) {
    case Method::get:
      return "GET";
    case Method::post:
      return "POST";
    case Method::delete_:
      return "DELETE";
  }
  return "";
}

HostList::HostList(std::string_view bound, const std::vector<std::string>& allowed)
    : hosts_{"localhost", "127.0.0.1", "::1"} {
  if (bound != "0.0.0.0" && bound != "::") hosts_.push_back(base::ascii_lower(bound));
  for (const std::string& host : allowed) hosts_.push_back(base::ascii_lower(host));
}

bool HostList::allows(std::string_view header) const {
  return std::ranges::find(hosts_, host_alone(header)) != hosts_.end();
}

std::optional<std::string_view> bearer(std::optional<std::string_view> authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (!authorization || authorization->size() < kScheme.size() ||
      base::ascii_lower(authorization->substr(0, kScheme.size())) != kScheme)
    return std::nullopt;
  std::string_view token = authorization->substr(kScheme.size());
  while (token.starts_with(' ')) token.remove_prefix(1);
  return token;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size() || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0)
        return std::nullopt;
      c = static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::nullopt;
    result += c;
  }
  return result;
}

Match match(const RequestHead& head, const HostList& hosts, platform::Service& service,
            platform::Caller& caller, std::string_view& route) {
  if (head.host.empty()) throw bad_request("the request has no Host header", {}, "host_missing");
  if (!hosts.allows(head.host))
    throw ApiError{.status = 403,
                   .type = "permission_error",
                   .code = "host_not_allowed",
                   .message =
                       "this server does not answer to the name in the Host header; "
                       "--allowed-hosts lists those that it does"};
  const Endpoint* found = nullptr;
  std::string allowed;
  Match result{nullptr, {}};
  for (const Endpoint* endpoint : endpoints()) {
    const auto parameter = fit(endpoint->path, head.path);
    if (!parameter) continue;
    route = endpoint->path;
    const bool get = endpoint->method == Method::get;
    allowed.append(allowed.empty() ? "" : ", ")
        .append(name(endpoint->method))
        .append(get ? ", HEAD" : "");
    // RFC 9110, 9.3.2: HEAD is GET without the body, which the connection leaves out.
    if (name(endpoint->method) != head.method && !(get && head.method == "HEAD")) continue;
    found = endpoint;
    result.parameter = *parameter;
  }
  if (found != nullptr && found->open_to_all) {
    result.endpoint = found;
    return result;
  }
  caller = authenticate(head, service);
  if (found == nullptr && allowed.empty()) throw not_found(head);
  if (found == nullptr)
    throw ApiError{
        .status = 405,
        .type = "invalid_request_error",
        .code = "method_not_allowed",
        .message = head.path + " takes " + allowed + ", not " + head.method.substr(0, 20),
        .allow = allowed};
  if (!caller.may(found->needs))
    throw ApiError{.status = 403,
                   .type = "permission_error",
                   .code = "missing_permission",
                   .message = "this key may not do that: it needs the permission '" +
                              std::string(name(found->needs)) + "'"};
  result.endpoint = found;
  return result;
}

}  // namespace malina::serve
