#include "platform/url.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/ascii.h"
#include "base/error.h"

namespace malina::platform {

namespace {

constexpr std::size_t kLongest = 8192;  // signed addresses have one or two thousand characters
constexpr std::uint16_t kHttpsPort = 443, kHttpPort = 80;

[[noreturn]] void refuse(std::string_view text, std::string_view fault) {
  constexpr std::size_t kShown = 200;
  std::string shown(text.substr(0, std::min(text.find('?'), kShown)));
  // A password must not reach a terminal or a log, even where it makes the address invalid.
  if (const std::size_t at = shown.rfind('@'); at != std::string::npos)
    shown = "...@" + shown.substr(at + 1);
  throw base::Error(base::Fault::invalid_argument,
                    fmt::format("the address '{}' {}", shown, fault));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return c >= 'a' && c <= 'z'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); }

std::uint16_t default_port(std::string_view scheme) {
  return scheme == "https" ? kHttpsPort : kHttpPort;
}

// Four decimal numbers of at most 255, written without leading zeros (which some read as octal).
bool is_dotted_quad(std::string_view host) {
  int parts = 0;
  while (true) {
    const std::size_t dot = host.find('.');
    const std::string_view part = host.substr(0, dot);
    if (part.empty() || part.size() > 3 || !std::all_of(part.begin(), part.end(), is_digit))
      return false;
    if (part.size() > 1 && part.front() == '0') return false;
    int value = 0;
    std::from_chars(part.data(), part.data() + part.size(), value);
    if (value > 255) return false;
    ++parts;
    if (dot == std::string_view::npos) return parts == 4;
    host.remove_prefix(dot + 1);
  }
}

// Resolvers read "0x7f.1", "2130706433" and "127.1" as addresses: a host whose last label is a
// number is one.
bool looks_numeric(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  const std::size_t dot = host.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? host : host.substr(dot + 1);
  if (last.empty()) return true;
  if (std::all_of(last.begin(), last.end(), is_digit)) return true;
  return last.starts_with("0x") && std::all_of(last.begin() + 2, last.end(), is_hex);
}

void check_host(std::string_view text, std::string_view host) {
  if (host.empty()) refuse(text, "names no host");
  if (host.size() > 253) refuse(text, "has a host name of over 253 characters");
  if (host.front() == '[') {
    const std::string_view inner = host.substr(1, host.size() - 2);
    const bool fits = host.back() == ']' && inner.find(':') != std::string_view::npos &&
                      std::all_of(inner.begin(), inner.end(),
                                  [](char c) { return is_hex(c) || c == ':' || c == '.'; });
    if (!fits) refuse(text, "has brackets around what is not an IPv6 address");
    return;
  }
  for (const char c : host)
    if (!is_letter(c) && !is_digit(c) && c != '.' && c != '-' && c != '_')
      refuse(text, "has a host with other characters than letters, digits, '.', '-' and '_'");
  if (host.front() == '.' || host.ends_with('.') || host.find("..") != std::string_view::npos)
    refuse(text, "has a host with an empty part");
  if (looks_numeric(host) && !is_dotted_quad(host))
    refuse(text, "has a number for a host that is not an address like 192.0.2.1");
}

std::uint16_t parse_port(std::string_view text, std::string_view digits) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value == 0 || value > 65535)
    refuse(text, "has a port that is not a number from 1 to 65535");
  return static_cast<std::uint16_t>(value);
}

void check_characters(std::string_view text) {
  if (text.size() > kLongest) refuse(text, "is longer than 8192 characters");
  for (const char c : text) {
    if (c <= ' ' || c > '~') refuse(text, "holds a space, a control character or non-ASCII text");
    if (c == '\\') refuse(text, "holds a backslash");
  }
}

// Splits "host:port" and checks both.
void set_authority(Url& url, std::string_view text, std::string_view authority) {
  if (authority.find('@') != std::string_view::npos)
    refuse(text,
           "holds a user name or password; give a token in the environment instead (HF_TOKEN)");
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  url.host = base::ascii_lower(authority.substr(0, colon));
  check_host(text, url.host);
  url.port = colon == std::string_view::npos ? default_port(url.scheme)
                                             : parse_port(text, authority.substr(colon + 1));
}

}  // namespace

std::string Url::origin() const {
  return port == default_port(scheme) ? fmt::format("{}://{}", scheme, host)
                                      : fmt::format("{}://{}:{}", scheme, host, port);
}

std::string Url::text() const { return origin() + target; }

std::string Url::shown() const { return origin() + target.substr(0, target.find('?')); }

bool Url::same_origin(const Url& other) const {
  return scheme == other.scheme && host == other.host && port == other.port;
}

bool Url::is_address() const { return host.starts_with('[') || is_dotted_quad(host); }

bool Url::is_loopback() const {
  return host == "localhost" || host == "[::1]" ||
         (is_dotted_quad(host) && host.starts_with("127."));
}

Url parse_url(std::string_view text) {
  check_characters(text);
  const std::string_view whole = text;
  Url url;
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos) refuse(whole, "does not begin with https://");
  url.scheme = base::ascii_lower(text.substr(0, colon));
  if (url.scheme != "https" && url.scheme != "http") refuse(whole, "is not https");
  text.remove_prefix(colon + 3);
  text = text.substr(0, text.find('#'));
  const std::size_t end = text.find_first_of("/?");
  set_authority(url, whole, text.substr(0, end));
  url.target = end == std::string_view::npos ? "" : std::string(text.substr(end));
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  return url;
}

Url resolve_url(const Url& base, std::string_view reference) {
  check_characters(reference);
  reference = reference.substr(0, reference.find('#'));
  const std::size_t scheme = reference.find("://");
  if (scheme != std::string_view::npos && scheme < reference.find_first_of("/?"))
    return parse_url(reference);
  if (const std::size_t colon = reference.find(':'); colon < reference.find_first_of("/?"))
    refuse(reference, "is not https");  // file:, data: and their like
  if (reference.starts_with("//")) return parse_url(base.scheme + ":" + std::string(reference));
  Url url = base;
  const std::string path = base.target.substr(0, base.target.find('?'));
  if (reference.starts_with('/'))
    url.target = reference;
  else if (reference.starts_with('?'))
    url.target = path + std::string(reference);
  else if (!reference.empty())
    url.target = path.substr(0, path.rfind('/') + 1) + std::string(reference);
  return url;
}

std::string percent_encoded(std::string_view text, bool keep_slashes) {
  std::string result;
  for (const char c : text) {
    const bool plain = is_digit(c) || is_letter(c) || (c >= 'A' && c <= 'Z') || c == '-' ||
                       c == '.' || c == '_' || c == '~' || (keep_slashes && c == '/');
    result += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return result;
}

}  // namespace malina::platform
