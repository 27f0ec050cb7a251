// Sockets to listen on: opened here, or passed by the service manager.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace malina::serve {

// Those of LISTEN_FDS (sd_listen_fds(3)) where there are any, otherwise one on `host`, an address
// in digits. A passed one beyond loopback is refused (invalid_argument) unless
// `may_leave_loopback`: nothing goes over a network in plain text. Throws base::Error(io) naming
// the address and the cause.
std::vector<boost::asio::ip::tcp::acceptor> listen(boost::asio::io_context& io,
                                                   const std::string& host, std::uint16_t port,
                                                   bool may_leave_loopback);

// sd_notify(3), where NOTIFY_SOCKET is set; a failure is nobody's loss.
void notify_service_manager(std::string_view state);

}  // namespace malina::serve
