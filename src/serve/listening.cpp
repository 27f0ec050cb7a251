#include "serve/listening.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace malina::serve {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr int kFirstPassed = 3;  // SD_LISTEN_FDS_START

int number_from(const char* variable) {
  const char* text = std::getenv(variable);
  int number = 0;
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), number);
  return number;
}

std::vector<tcp::acceptor> passed_sockets(asio::io_context& io, bool may_leave_loopback) {
  std::vector<tcp::acceptor> acceptors;
  if (number_from("LISTEN_PID") != ::getpid()) return acceptors;
  for (int i = 0; i < number_from("LISTEN_FDS"); ++i) {
    const int socket = kFirstPassed + i;
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
        (address.ss_family != AF_INET && address.ss_family != AF_INET6))
      throw base::Error(
          base::Fault::io,
          fmt::format("the socket {} that the service manager passed is not a TCP one", socket));
    tcp::acceptor& acceptor =
        acceptors.emplace_back(io, address.ss_family == AF_INET ? tcp::v4() : tcp::v6(), socket);
    if (!may_leave_loopback && !acceptor.local_endpoint().address().is_loopback())
      throw base::Error(
          base::Fault::invalid_argument,
          "the socket that the service manager passed can be reached from elsewhere, and "
          "there is no TLS: give --tls-certificate and --tls-key, or --allow-plaintext");
  }
  return acceptors;
}

}  // namespace

std::vector<tcp::acceptor> listen(asio::io_context& io, const std::string& host, std::uint16_t port,
                                  bool may_leave_loopback) {
  std::vector<tcp::acceptor> acceptors = passed_sockets(io, may_leave_loopback);
  if (!acceptors.empty()) return acceptors;
  const auto fail = [&](const error_code& error) {
    return base::Error(base::Fault::io,
                       fmt::format("cannot listen on {} port {}: {}", host, port, error.message()));
  };
  error_code error;
  const auto address = asio::ip::make_address(host, error);
  if (error) throw fail(error);
  tcp::acceptor acceptor(io);
  const tcp::endpoint endpoint(address, port);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) throw fail(error);
  acceptors.push_back(std::move(acceptor));
  return acceptors;
}

void notify_service_manager(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  if (length == 0 || length >= sizeof(address.sun_path)) return;
  std::memcpy(address.sun_path, path, length);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // an abstract one
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return;
  ::sendto(socket, state.data(), state.size(), MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(&address),
           static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
  ::close(socket);
}

}  // namespace malina::serve
