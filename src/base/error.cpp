#include "base/error.h"

#include <cerrno>
#include <cstring>

namespace malina::base {

int exit_code(Fault fault) {
  switch (fault) {
    case Fault::invalid_argument: return 2;
    case Fault::not_found: return 3;
    case Fault::already_exists: return 4;
    case Fault::corrupt_file: return 5;
    case Fault::unsupported: return 6;
    case Fault::io: return 7;
    case Fault::out_of_memory: return 8;
    case Fault::cancelled: return 130;
    case Fault::unauthenticated: return 9;
    case Fault::denied: return 10;
    case Fault::exhausted: return 11;
    case Fault::overloaded: return 12;
    case Fault::internal: return 70;
  }
  return 70;
}

std::string_view name(Fault fault) {
  switch (fault) {
    case Fault::invalid_argument: return "invalid_argument";
    case Fault::not_found: return "not_found";
    case Fault::already_exists: return "already_exists";
    case Fault::corrupt_file: return "corrupt_file";
    case Fault::unsupported: return "unsupported";
    case Fault::io: return "io";
    case Fault::out_of_memory: return "out_of_memory";
    case Fault::cancelled: return "cancelled";
    case Fault::unauthenticated: return "unauthenticated";
    case Fault::denied: return "denied";
    case Fault::exhausted: return "exhausted";
    case Fault::overloaded: return "overloaded";
    case Fault::internal: return "internal";
  }
  return "internal";
}

Error system_error(const std::string& what) {
  const int code = errno;
  return Error(code == ENOENT ? Fault::not_found : Fault::io, what + ": " + std::strerror(code));
}

}  // namespace malina::base
