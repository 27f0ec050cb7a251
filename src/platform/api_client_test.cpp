#include "platform/api_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>

#include "base/error.h"
#include "platform/descriptor.h"

namespace malina::platform {
namespace {

// Takes connections, as the system does for it, and never says anything.
class SilentServer {
 public:
  SilentServer() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const place = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener_.number(), place, size), 0);
    EXPECT_EQ(::listen(listener_.number(), 4), 0);
    EXPECT_EQ(::getsockname(listener_.number(), place, &size), 0);
    port_ = ntohs(address.sin_port);
  }
  std::uint16_t port() const { return port_; }

 private:
  Descriptor listener_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::uint16_t port_ = 0;
};

TEST(ApiClient, WaitsNoLongerThanSomebodyWantsTheAnswer) {
  const SilentServer silent;
  for (const char* const scheme : {"http", "https"}) {
    int asked = 0;
    ApiServer server{
        .url = {.scheme = scheme, .host = "127.0.0.1", .port = silent.port(), .target = "/"},
        .key = "mk_1.2",
        .key_source = "a test",
        .timeout = std::chrono::hours(24)};
    server.given_up = [&] { return ++asked == 3; };
    try {
      api_get(server, "/metrics");
      FAIL();
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), base::Fault::cancelled) << error.what();
    }
    EXPECT_EQ(asked, 3);
  }
}

}  // namespace
}  // namespace malina::platform
