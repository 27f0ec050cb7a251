#include "serve/request_reader.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <exception>
#include <functional>
#include <string>

namespace malina::serve {
namespace {

using asio::ip::tcp;
using Work = std::function<asio::awaitable<void>(RequestReader&)>;

constexpr std::chrono::milliseconds kShort{50};

// A connection whose client sends what it is told to, and then waits.
class Line {
 public:
  explicit Line(const ConnectionLimits& limits)
      : limits_(limits), wire_(accepted(io_, client_), nullptr), reader_(wire_, limits_, ledger_) {}

  void send(const std::string& bytes) { asio::write(client_, asio::buffer(bytes)); }

  // To its end. The status of the ApiError that it ended with; 0 where it ended with none.
  unsigned run(const Work& work) {
    std::exception_ptr error;
    asio::co_spawn(io_, work(reader_), [&](const std::exception_ptr& why) { error = why; });
    io_.run();
    io_.restart();
    try {
      if (error) std::rethrow_exception(error);
    } catch (const ApiError& failed) {
      return failed.status;
    }
    return 0;
  }
  bool is_open() { return wire_.socket().is_open(); }

 private:
  static tcp::socket accepted(asio::io_context& io, tcp::socket& client) {
    tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
    client.connect(acceptor.local_endpoint());
    return acceptor.accept();
  }

  ConnectionLimits limits_;
  asio::io_context io_;
  tcp::socket client_{io_};
  BodyLedger ledger_{1 << 24};
  Wire wire_;
  RequestReader reader_;
};

ConnectionLimits limits() {
  ConnectionLimits limits;
  limits.body_bytes = limits.upload_bytes = 1 << 20;
  return limits;
}

asio::awaitable<void> read_all(RequestReader& reader) {
  const bool another = co_await reader.read_header();
  EXPECT_TRUE(another);
  const std::string body = co_await reader.read_body();
  EXPECT_EQ(body, "0123456789");
}

asio::awaitable<void> read_pieces(RequestReader& reader) {
  const bool another = co_await reader.read_header();
  EXPECT_TRUE(another);
  const std::string piece = co_await reader.read_piece();
  EXPECT_EQ(piece, "0123456789");
}

asio::awaitable<void> expect_none(RequestReader& reader) {
  const bool another = co_await reader.read_header();
  EXPECT_FALSE(another);
}

const std::string kHeader = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n";

TEST(RequestReader, ABodyThatStopsIsAnsweredOnAConnectionThatIsOpen) {
  for (const Work& work : {Work(read_all), Work(read_pieces)}) {
    ConnectionLimits given = limits();
    given.body_time = kShort;
    Line line(given);
    line.send(kHeader + "01234");
    EXPECT_EQ(line.run(work), 408U);
    EXPECT_TRUE(line.is_open()) << "the client is still to be told";
  }
}

TEST(RequestReader, TheTimeOfOneBodyIsNotThatOfTheNext) {
  ConnectionLimits given = limits();
  given.body_time = kShort;
  Line line(given);
  line.send(kHeader + "0123456789");
  EXPECT_EQ(line.run([](RequestReader& reader) -> asio::awaitable<void> {
    co_await read_all(reader);
    reader.finish();
    asio::steady_timer pause(co_await asio::this_coro::executor);
    pause.expires_after(3 * kShort);
    co_await pause.async_wait(asio::use_awaitable);
  }),
            0U);
  line.send(kHeader + "0123456789");
  EXPECT_EQ(line.run(read_all), 0U);
}

TEST(RequestReader, AHeaderThatDoesNotComeEndsTheConnection) {
  for (const char* sent : {"", "GET / HTTP/1.1\r\nho"}) {
    ConnectionLimits given = limits();
    given.header_time = kShort;
    Line line(given);
    line.send(sent);
    EXPECT_EQ(line.run(expect_none), 0U);
  }
}

TEST(RequestReader, ATimerThatOutlivesItsReaderDoesNothing) {
  asio::io_context io;
  tcp::socket client(io);
  tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  client.connect(acceptor.local_endpoint());
  BodyLedger ledger(1 << 24);
  ConnectionLimits given = limits();
  given.body_time = std::chrono::milliseconds(0);
  {
    Wire wire(acceptor.accept(), nullptr);
    RequestReader reader(wire, given, ledger);
    asio::write(client, asio::buffer(kHeader + "01"));
    asio::co_spawn(io, read_all(reader), [](const std::exception_ptr&) {});
    io.run_for(kShort);
  }
  io.restart();
  io.run_for(kShort);
}

}  // namespace
}  // namespace malina::serve
