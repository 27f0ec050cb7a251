#include "serve/response_writer.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <string>

#include "serve/api_error.h"
#include "serve/exchange.h"

namespace malina::serve {
namespace {

using asio::ip::tcp;

constexpr std::size_t kLarge = 8 << 20;  // more than this system's buffers take
constexpr std::chrono::seconds kLong{600};

// A connection whose client reads when it is told to.
class Line {
 public:
  Line(asio::io_context& io, BodyLedger& ledger, std::chrono::seconds stall)
      : io_(io),
        client_(io),
        wire_(accepted(io, client_), nullptr),
        writer_(wire_, stall, ledger) {}

  ResponseWriter& writer() { return writer_; }

  void begin(std::function<asio::awaitable<void>(ResponseWriter&)> work) {
    work_ = std::move(work);  // its captures are the coroutine's
    asio::co_spawn(io_, work_(writer_), [this](const std::exception_ptr& error) {
      ended_ = true;
      error_ = error;
    });
  }
  // Until nothing more happens without the client.
  void settle() {
    while (io_.poll() > 0) {
    }
  }
  bool ended() const { return ended_; }
  std::exception_ptr error() const { return error_; }

  // Reads until so many bytes have come; the server goes on meanwhile.
  std::string read(std::size_t size) {
    std::string text;
    std::string piece(64 * 1024, '\0');
    client_.non_blocking(true);
    while (text.size() < size) {
      io_.poll();
      boost::system::error_code error;
      text.append(piece, 0, client_.read_some(asio::buffer(piece), error));
      if (error && error != asio::error::would_block) break;
    }
    return text;
  }

 private:
  static tcp::socket accepted(asio::io_context& io, tcp::socket& client) {
    tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
    client.connect(acceptor.local_endpoint());
    return acceptor.accept();
  }

  asio::io_context& io_;
  tcp::socket client_;
  Wire wire_;
  ResponseWriter writer_;
  std::function<asio::awaitable<void>(ResponseWriter&)> work_;
  bool ended_ = false;
  std::exception_ptr error_;
};

std::function<asio::awaitable<void>(ResponseWriter&)> answer_of(std::size_t size) {
  return [size](ResponseWriter& writer) -> asio::awaitable<void> {
    const ResponseWriter::Head head{.request_id = "req_1"};
    std::string body(size, 'x');
    co_await writer.whole(head, std::move(body));
  };
}

TEST(ResponseWriter, AnAnswerIsHeldUntilItIsTaken) {
  asio::io_context io;
  BodyLedger ledger(10 * kLarge);
  Line line(io, ledger, kLong);
  line.begin(answer_of(kLarge));
  line.settle();
  EXPECT_FALSE(line.ended());
  EXPECT_EQ(ledger.used(), kLarge);
  const std::string text = line.read(kLarge);
  EXPECT_TRUE(
      text.starts_with("HTTP/1.1 200 OK\r\ncontent-length: 8388608\r\nx-request-id: req_1\r\n"));
  line.read(text.find("\r\n\r\n") + 4 + kLarge - text.size());
  line.settle();
  EXPECT_TRUE(line.ended());
  EXPECT_EQ(ledger.used(), 0U);
}

TEST(ResponseWriter, AnAnswerWaitsForRoom) {
  asio::io_context io;
  BodyLedger ledger(kLarge + kLarge / 2);
  Line first(io, ledger, kLong), second(io, ledger, kLong), small(io, ledger, kLong);
  first.begin(answer_of(kLarge));
  first.settle();
  second.begin(answer_of(kLarge));
  small.begin(answer_of(1000));
  second.settle();
  EXPECT_FALSE(second.writer().began());
  EXPECT_TRUE(small.ended()) << "what is small needs none";
  EXPECT_EQ(ledger.used(), kLarge);
  while (!first.ended()) first.read(1);
  EXPECT_TRUE(second.read(kLarge).starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST(ResponseWriter, WithoutRoomForLongItIsRefused) {
  asio::io_context io;
  BodyLedger ledger(kLarge + kLarge / 2);
  Line first(io, ledger, kLong), second(io, ledger, std::chrono::seconds(0));
  first.begin(answer_of(kLarge));
  first.settle();
  second.begin(answer_of(kLarge));
  second.settle();
  ASSERT_TRUE(second.ended());
  EXPECT_FALSE(second.writer().began()) << "there is still a way to say so";
  try {
    std::rethrow_exception(second.error());
    FAIL();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status, 503U);
    EXPECT_TRUE(error.retry_after);
  }
}

TEST(ResponseWriter, OneThatIsLargerThanAllRoomGoesAlone) {
  asio::io_context io;
  BodyLedger ledger(kLarge / 2);
  Line line(io, ledger, kLong);
  line.begin(answer_of(kLarge));
  line.settle();
  EXPECT_TRUE(line.writer().began());
  EXPECT_EQ(ledger.used(), kLarge / 2);
  EXPECT_TRUE(line.read(kLarge).starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST(ResponseWriter, WhoTakesNothingIsLetGo) {
  asio::io_context io;
  BodyLedger ledger(10 * kLarge);
  Line line(io, ledger, std::chrono::seconds(1));
  line.begin(answer_of(kLarge));
  while (!line.ended() && io.run_one() > 0) {
  }
  ASSERT_TRUE(line.error());
  EXPECT_THROW(std::rethrow_exception(line.error()), Disconnected);
}

TEST(ResponseWriter, AnAnswerToHeadHasItsLengthAndNoBody) {
  asio::io_context io;
  BodyLedger ledger(1);
  Line line(io, ledger, kLong);
  line.writer().begin_request(true, false);
  line.begin(answer_of(kLarge));
  line.settle();
  EXPECT_TRUE(line.ended());
  const std::string text = line.read(1);
  EXPECT_NE(text.find("content-length: 8388608\r\n"), std::string::npos);
  EXPECT_TRUE(text.ends_with("\r\n\r\n"));
}

TEST(ResponseWriter, PiecesAreChunksUnlessTheClientIsOld) {
  for (const bool old : {false, true}) {
    asio::io_context io;
    BodyLedger ledger(1);
    Line line(io, ledger, kLong);
    line.writer().begin_request(false, old);
    line.begin([](ResponseWriter& writer) -> asio::awaitable<void> {
      const ResponseWriter::Head head{.request_id = "req_1"};
      co_await writer.begin_pieces(head);
      std::string piece = "a piece of 18 byte";
      co_await writer.piece(std::move(piece));
      co_await writer.end_pieces();
    });
    line.settle();
    ASSERT_TRUE(line.ended());
    const std::string text = line.read(1);
    const std::string body = text.substr(text.find("\r\n\r\n") + 4);
    EXPECT_EQ(body, old ? "a piece of 18 byte" : "12\r\na piece of 18 byte\r\n0\r\n\r\n");
    EXPECT_EQ(text.find("transfer-encoding: chunked\r\n") == std::string::npos, old);
  }
}

}  // namespace
}  // namespace malina::serve
