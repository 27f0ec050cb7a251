// Addresses of the web as far as `malina pull` goes: parsed strictly, so that this program and
// libcurl can never read the same text as two hosts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace malina::platform {

// https://host[:port]/path[?query]. Without user names, and a fragment is dropped.
struct Url {
  std::string scheme;      // "https" or "http"
  std::string host;        // lower case; an IPv6 address in its brackets
  std::uint16_t port = 0;  // never 0 once parsed
  std::string target;      // "/path?query", printable ASCII without spaces

  std::string text() const;    // the whole, without a port that the scheme implies
  std::string origin() const;  // "https://host:8443"
  // For messages and records: without the query, which may hold a signature.
  std::string shown() const;
  bool same_origin(const Url& other) const;
  bool is_loopback() const;  // localhost, 127.x.y.z or [::1]
  bool is_address() const;   // an address in digits instead of a name
};

// Throws base::Error(invalid_argument) that names the text and what is wrong with it. Refuses
// everything but https and http, user names and passwords, control characters, spaces and
// backslashes, and numbers in place of a host that are not four decimal ones.
Url parse_url(std::string_view text);

// What a Location or Link header means where `base` sent it: absolute, //host/path, /path, ?query
// or a relative path. Throws as parse_url does.
Url resolve_url(const Url& base, std::string_view reference);

// A path as one piece of an URL: everything but letters, digits and -._~ becomes %XX; '/' stays
// where `keep_slashes`.
std::string percent_encoded(std::string_view text, bool keep_slashes = false);

}  // namespace malina::platform
