#include "platform/unix_socket.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "base/error.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;

sockaddr_un address_of(const std::filesystem::path& path) {
  check_socket_path(path);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.string().size());
  return address;
}

Descriptor new_socket() {
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) throw base::system_error("cannot make a socket");
  return socket;
}

// A socket that a process left behind when it was killed is nobody's.
void make_room(const std::filesystem::path& path, const sockaddr_un& address) {
  struct stat facts{};
  if (::lstat(path.c_str(), &facts) != 0) return;
  if (!S_ISSOCK(facts.st_mode))
    throw Error(Fault::already_exists,
                fmt::format("{} is there already, and is no socket", path.string()));
  const Descriptor probe = new_socket();
  if (::connect(probe.number(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) ==
          0 ||
      errno != ECONNREFUSED)
    throw Error(
        Fault::already_exists,
        fmt::format("another process listens at {}: stop it, or take another path", path.string()));
  if (::unlink(path.c_str()) != 0) throw base::system_error("cannot replace " + path.string());
}

}  // namespace

void check_socket_path(const std::filesystem::path& path) {
  constexpr std::size_t kMost = sizeof(sockaddr_un::sun_path) - 1;
  const std::size_t size = path.string().size();
  if (size == 0 || size > kMost)
    throw Error(Fault::invalid_argument,
                fmt::format("the socket's path {} has {} bytes; a socket's has 1 to {}",
                            path.string(), size, kMost));
}

Descriptor listen_private(const std::filesystem::path& path) {
  const sockaddr_un address = address_of(path);
  if (const auto folder = path.parent_path(); !folder.empty() && !std::filesystem::exists(folder)) {
    std::filesystem::create_directories(folder);
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all);
  }
  make_room(path, address);
  Descriptor socket = new_socket();
  const mode_t mask = ::umask(0177);
  const int bound =
      ::bind(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  ::umask(mask);
  if (bound != 0 || ::listen(socket.number(), SOMAXCONN) != 0)
    throw base::system_error("cannot listen at " + path.string());
  return socket;
}

bool is_same_user(int socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         peer.uid == ::geteuid();
}

}  // namespace malina::platform
