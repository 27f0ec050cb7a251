// A route is one constant in one file of serve/endpoints:
//
//   asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) { ... }
//
//   extern const Endpoint models{
//       .method = Method::get, .path = "/v1/models", .needs = Permission::infer,
//       .summary = "The models that this key may use", .answer = answer};
//
// The constant bears the file's name. Parsing, the 400s and the OpenAPI document follow from it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <span>
#include <string_view>

#include "platform/caller.h"
#include "serve/exchange.h"
#include "serve/field.h"

namespace malina::platform {
class Service;
}

namespace malina::serve {

namespace asio = boost::asio;
using platform::Permission;

enum class Method { get, post, delete_ };  // HEAD follows GET by itself
std::string_view name(Method method);

struct Endpoint {
  Method method = Method::get;
  std::string_view path;  // "/v1/models/{model}": a part in braces is one segment of any text
  Permission needs = Permission::admin;
  bool open_to_all = false;  // without a key
  std::span<const Field> body = {};
  bool has_body = false;  // false: one that comes is refused
  bool upload = false;  // the body is multipart/form-data, which the endpoint reads piece by piece
  std::span<const Field> query = {};  // parameters after the path; where none is listed, what
                                      // comes is not looked at
  bool works = false;  // work, or asks for where to send it: refused while the server drains
  std::string_view summary = "";
  std::string_view details = "";
  std::string_view tag = "malina";
  std::string_view answer_type = "application/json";
  std::string_view answer_schema = "{}";  // JSON Schema of a 200's body
  std::string_view stream_type = "";      // of the answer where it streams; "" where it never does
  asio::awaitable<void> (*answer)(Exchange& exchange, platform::Service& service) = nullptr;
};

// All routes, by file name; collected from serve/endpoints.
std::span<const Endpoint* const> endpoints();

}  // namespace malina::serve
