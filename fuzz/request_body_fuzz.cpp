// A request's body against the tables of fields: the first byte chooses the endpoint, the rest is
// JSON. What is accepted is accepted again and says the same; what is refused is a 400 that says
// why. Then the small texts of a request: Host, Authorization, a part of the path.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "finding.h"
#include "serve/api_error.h"
#include "serve/endpoint.h"
#include "serve/field.h"
#include "serve/router.h"

namespace {

using namespace malina;
using namespace malina::serve;
using fuzz::require;

std::vector<const Endpoint*> with_bodies() {
  std::vector<const Endpoint*> found;
  for (const Endpoint* endpoint : endpoints())
    if (endpoint->has_body) found.push_back(endpoint);
  return found;
}

bool has_null(const Json& json) {
  for (const auto& member : json)
    if (member.is_null()) return true;
  return false;
}

void check_fields(std::string_view text, std::span<const Field> fields) {
  try {
    const CheckedBody first = parse_body(std::string(text), fields);
    require(first.json.is_object() && !has_null(first.json));
    const CheckedBody again = check_body(first.json, fields);
    require(again.json == first.json);
    for (const std::string& name : first.ignored)
      require(name.find_first_of("\r\n") == std::string::npos);
  } catch (const ApiError& error) {
    require(error.status == 400 && !error.message.empty());
    // As it is sent.
    require(Json::accept(error.body().dump(-1, ' ', false, Json::error_handler_t::replace)));
  }
}

void check_texts(std::string_view text) {
  if (const auto token = bearer(text)) require(text.ends_with(*token) && !token->starts_with(' '));
  if (const auto decoded = percent_decoded(text)) {
    require(decoded->size() <= text.size());
    for (const char c : *decoded) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }
  // What is answered to is a name of the list, with at most a port.
  static const HostList hosts("10.0.0.1", {"models.example"});
  if (!hosts.allows(text)) return;
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  bool known = false;
  for (const std::string_view name :
       {"localhost", "127.0.0.1", "[::1]", "10.0.0.1", "models.example"})
    if (lower.starts_with(name)) {
      std::string_view rest = std::string_view(lower).substr(name.size());
      if (rest.starts_with('.')) rest.remove_prefix(1);
      known |= rest.empty() || (rest.starts_with(':') &&
                                rest.find_first_not_of("0123456789", 1) == std::string_view::npos);
    }
  require(known);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<const Endpoint*> endpoints = with_bodies();
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_texts(bytes);
  if (bytes.empty()) return 0;
  const auto chosen = static_cast<unsigned char>(bytes.front()) % endpoints.size();
  bytes.remove_prefix(1);
  check_fields(bytes, endpoints[chosen]->body);
  return 0;
}
