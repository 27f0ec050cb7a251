// What a request's first line asks for (RFC 9112, section 3.2).
#pragma once

#include <string>
#include <string_view>

namespace malina::serve {

struct Target {
  std::string path;  // without a query; "/" where there is none
  std::string
      authority;  // of an absolute-form target: then it counts, and the Host header does not
  bool absolute = false;  // "http://localhost:8080/health"
  bool https = false;     // its scheme
};

// Origin-form and absolute-form; what is neither ("*", an authority) is taken as a path, of which
// there is no route. Throws ApiError 400 for an absolute one of another scheme, without a host or
// with a user's name in it (RFC 9110, 4.2.4).
Target parse_target(std::string_view target);

}  // namespace malina::serve
