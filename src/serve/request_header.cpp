#include "serve/request_header.h"

#include <algorithm>

#include "platform/repetition.h"
#include "serve/answering.h"
#include "serve/api_error.h"

namespace malina::serve {

namespace {

constexpr std::size_t kLongestId = 128;

bool usable_id(std::string_view id) {
  return !id.empty() && id.size() <= kLongestId && std::ranges::all_of(id, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

}  // namespace

std::string request_id_of(const RequestReader& reader) {
  const std::string_view given = reader.field("x-request-id");
  return usable_id(given) ? std::string(given) : new_id("req_");
}

std::string idempotency_key_of(const RequestReader& reader) {
  const std::string_view key = reader.field("idempotency-key");
  const bool printable =
      std::ranges::all_of(key, [](char c) { return c > ' ' && c < 127; });  // RFC 8941: a string
  if (reader.count("idempotency-key") > 1 || !printable ||
      key.size() > platform::kLongestRepetitionName)
    throw bad_request(
        "the header Idempotency-Key must come once, with at most 255 characters that "
        "are visible",
        {}, "invalid_idempotency_key");
  return std::string(key);
}

RequestHead request_head(const RequestReader& reader, const Target& target,
                         const Arrival& arrival) {
  // RFC 9110, 7.4: an https resource is not given over a connection that anyone can read.
  if (target.https && !arrival.private_way)
    throw ApiError{.status = 421,
                   .type = "invalid_request_error",
                   .message = "the target is an https address, and this connection is not"};
  RequestHead head{.method = std::string(reader.method()),
                   .path = target.path,
                   .host = std::string(reader.field("host")),
                   .authorization = std::nullopt,
                   .has_origin = reader.has("origin"),
                   .from_loopback = arrival.from_loopback};
  // RFC 9112, 3.2.2: then the Host header, which must be there all the same, says nothing.
  if (target.absolute && (!head.host.empty() || reader.is_old())) head.host = target.authority;
  if (reader.has("authorization")) head.authorization = reader.field("authorization");
  return head;
}

}  // namespace malina::serve
