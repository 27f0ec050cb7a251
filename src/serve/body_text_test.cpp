#include "serve/body_text.h"

#include <gtest/gtest.h>

#include <boost/beast/http/parser.hpp>
#include <string>

namespace malina::serve {
namespace {

namespace http = boost::beast::http;

// Of a length that no machine has memory for: what has come is all that is taken.
TEST(BodyText, NothingIsReservedForWhatIsOnlyAnnounced) {
  http::request_parser<BodyText> parser;
  parser.body_limit(boost::none);
  parser.eager(true);
  const std::string sent =
      "POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 4611686018427387904\r\n\r\nabc";
  boost::beast::error_code error;
  parser.put(boost::asio::buffer(sent), error);
  EXPECT_TRUE(!error || error == http::error::need_more) << error.message();
  EXPECT_EQ(parser.get().body(), "abc");
  EXPECT_LT(parser.get().body().capacity(), 1024U);
  EXPECT_FALSE(parser.is_done());
}

TEST(BodyText, PiecesStandOneBehindTheOther) {
  http::request_parser<BodyText> parser;
  parser.eager(true);
  const std::string sent =
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
  boost::beast::error_code error;
  for (std::size_t at = 0; at < sent.size() && !parser.is_done();)
    at += parser.put(boost::asio::buffer(sent.data() + at, sent.size() - at), error);
  EXPECT_TRUE(parser.is_done());
  EXPECT_EQ(parser.get().body(), "abcde");
}

}  // namespace
}  // namespace malina::serve
