// What a request's header says of it, checked before it is believed.
#pragma once

#include <string>

#include "serve/request_reader.h"
#include "serve/router.h"
#include "serve/target.h"

namespace malina::serve {

// The client's own id where it can stand in a header and a log as it is; otherwise a new one.
std::string request_id_of(const RequestReader& reader);

// The header Idempotency-Key; "" without one. Throws ApiError 400 where it came twice, is too long
// or has what is not visible ASCII.
std::string idempotency_key_of(const RequestReader& reader);

// How the request came.
struct Arrival {
  bool private_way = false;  // by TLS, of ours or of a proxy before us
  bool from_loopback = false;
};
// For the dispatch; borrows from the reader. Throws ApiError 421 for an https target over a
// connection that anyone can read.
RequestHead request_head(const RequestReader& reader, const Target& target, const Arrival& arrival);

}  // namespace malina::serve
