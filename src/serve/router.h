// The single dispatch: everything that decides whether a request may run stands here, and all of it
// is refused that is not allowed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/caller.h"
#include "serve/endpoint.h"

namespace malina::platform {
class Service;
}

namespace malina::serve {

// What the header of a request says.
struct RequestHead {
  std::string method, path;  // the path without a query
  std::string host;          // of an absolute target or the Host header; empty without one
  std::optional<std::string_view> authorization;
  bool has_origin = false;
  bool from_loopback = false;
};

struct Match {
  const Endpoint* endpoint;
  std::string parameter;  // of the path, decoded
};

// Hosts by which this server may be called: the name in a Host header, without its port.
class HostList {
 public:
  // localhost, loopback addresses, the address that is listened on, and these.
  HostList(std::string_view bound, const std::vector<std::string>& allowed);
  bool allows(std::string_view host_header) const;

 private:
  std::vector<std::string> hosts_;  // lower case
};

// In this order: the Host, a route that is open to all, the key, the route, the method, the key's
// permission. Throws ApiError: 400 and 403 (Host), 401, 404, 405, 403.
// `caller` and `route` (an endpoint's path) are set as soon as they are known, also where the
// request is refused; `caller` is empty where the route is open to all.
Match match(const RequestHead& head, const HostList& hosts, platform::Service& service,
            platform::Caller& caller, std::string_view& route);

// "Bearer abc": abc. nullopt for every other scheme.
std::optional<std::string_view> bearer(std::optional<std::string_view> authorization);

// "%41" is A. nullopt where it is malformed or gives a control character.
std::optional<std::string> percent_decoded(std::string_view text);

}  // namespace malina::serve
