// A connection's bytes through all that a server does with them: the HTTP parser, the router, keys,
// the JSON of bodies, the tables of fields, the endpoints of a server without a model. Whatever
// comes, each answer is HTTP, none is a defect (500), and without the key only what is open to all
// is answered. "{KEY}" in an input stands for the key.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/temporary_directory.h"
#include "platform/platform.h"
#include "platform/service.h"
#include "serve/connection.h"
#include "serve/log.h"
#include "serve/metrics.h"

namespace {

using namespace malina;
namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr std::string_view kKeyPlace = "{KEY}";
constexpr std::size_t kLongestInput = 64 * 1024;  // that a socket takes without a reader

void require(bool condition, std::string_view what, std::string_view answers) {
  if (condition) return;
  std::fprintf(stderr, "%.*s\n%.*s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(answers.size()), answers.data());
  std::abort();
}

// One for all inputs; they leave nothing in it.
struct World {
  base::TemporaryDirectory folder;
  platform::ServerSettings settings = [] {
    platform::ServerSettings made;
    made.memory = 8 << 20;
    made.max_bodies = 1 << 20;
    made.max_body = kLongestInput;
    return made;
  }();
  platform::Platform platform{folder.path()};
  const std::string key = platform.ensure_admin_key()->token;
  platform::Service service{platform, settings};
  serve::Log log{serve::Log::Format::json, serve::LogLevel::error};
  serve::Metrics metrics;
};

// What the server answers to these bytes, until it or the client has ended.
std::string answers_to(World& world, std::string_view bytes) {
  asio::io_context io(1);
  serve::ServerState state{.service = world.service,
                           .settings = world.settings,
                           .hosts = serve::HostList("127.0.0.1", {}),
                           .limits = {.body_bytes = world.settings.max_body},
                           .log = world.log,
                           .metrics = world.metrics,
                           .bodies = serve::BodyLedger(world.service.body_bytes()),
                           .workers = io.get_executor(),
                           .long_work = io.get_executor()};
  tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  tcp::socket client(io);
  client.connect(acceptor.local_endpoint());
  asio::co_spawn(io, serve::serve_connection(acceptor.accept(), nullptr, state), asio::detached);
  asio::write(client, asio::buffer(bytes));
  while (io.poll() > 0) {
  }
  client.shutdown(tcp::socket::shutdown_send);
  std::string answers;
  char piece[16384];
  boost::system::error_code error;
  while (!error) {  // until it closes; it waits for nothing that will not come
    while (state.connections > 0 && io.run_one_for(std::chrono::seconds(15)) > 0) {
    }
    require(state.connections == 0, "the connection did not end", answers);
    const std::size_t size = client.read_some(asio::buffer(piece), error);
    answers.append(piece, size);
  }
  return answers;
}

// Whether a body may be seen without a key.
bool is_open(std::string_view body) {
  return body.empty() || body == R"({"status":"ok"})" || body == "malina is running";
}

void check(std::string_view answers, bool with_key) {
  boost::system::error_code error;
  std::string_view rest = answers;
  while (!rest.empty()) {
    http::response_parser<http::string_body> parser;
    parser.eager(true);
    std::size_t used = 0;
    while (!parser.is_done() && !rest.empty()) {
      used = parser.put(asio::buffer(rest), error);
      if (error == http::error::need_more) break;
      require(!error, "the answer is not HTTP: " + error.message(), answers);
      rest.remove_prefix(used);
    }
    require(parser.is_done(), "the answer is cut off", answers);
    const auto& response = parser.get();
    const unsigned status = response.result_int();
    if (status == 100) continue;
    require(status != 500 && status >= 200 && status < 600, "a defect", answers);
    require(response.count("x-request-id") == 1, "no request id", answers);
    require(response.count("content-length") + response.count("transfer-encoding") <= 1,
            "two lengths", answers);
    if (!with_key && status == 200)
      require(is_open(response.body()), "answered without a key", answers);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;
  std::string bytes(reinterpret_cast<const char*>(data), std::min(size, kLongestInput));
  bool with_key = false;
  for (std::size_t at = bytes.find(kKeyPlace);
       at != std::string::npos && bytes.size() < kLongestInput;
       at = bytes.find(kKeyPlace, at + 1)) {
    bytes.replace(at, kKeyPlace.size(), world.key);
    with_key = true;
  }
  const std::string answers = answers_to(world, bytes);
  // An answer to HEAD ends with its header, whatever length it speaks of: only who counts the
  // requests knows where the next one begins.
  if (bytes.find("HEAD ") == std::string::npos)
    check(answers, with_key);
  else
    require(answers.find("HTTP/1.1 500 ") == std::string::npos, "a defect", answers);
  return 0;
}
