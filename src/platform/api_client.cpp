#include "platform/api_client.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <memory>
#include <optional>

#include "base/error.h"

namespace malina::platform {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using base::Error;
using base::Fault;
using boost::system::error_code;
using Parser = http::response_parser<http::string_body>;

// The host as a name to look up: an IPv6 address without its brackets.
std::string bare_host(const Url& url) {
  return url.host.starts_with('[') ? url.host.substr(1, url.host.size() - 2) : url.host;
}

// One request with its connection. Timeouts are why it is written for an event loop: a blocking
// read of Asio's has none.
class Request {
 public:
  Request(const ApiServer& server, std::string_view target) : server_(server) {
    request_.method(http::verb::get);
    request_.target(beast::string_view(target.data(), target.size()));
    const Url& url = server.url;
    request_.set(http::field::host, url.host + ":" + std::to_string(url.port));
    request_.set(http::field::authorization, "Bearer " + server.key);
    request_.set(http::field::connection, "close");
    parser_.body_limit(server.most_bytes);
  }

  http::response<http::string_body> run() {
    beast::tcp_stream plain(io_);
    plain.expires_after(server_.timeout);
    tcp::resolver resolver(io_);
    error_code error;
    const auto found =
        resolver.resolve(bare_host(server_.url), std::to_string(server_.url.port), error);
    if (error) throw nobody(error);
    error = await([&](auto done) { plain.async_connect(found, std::move(done)); });
    if (error) throw nobody(error);
    if (server_.url.scheme != "https") return exchange(plain);
    asio::ssl::context context = tls_context();
    beast::ssl_stream<beast::tcp_stream> secure(std::move(plain), context);
    if (!server_.url.is_address())
      SSL_set_tlsext_host_name(secure.native_handle(), bare_host(server_.url).c_str());
    error = await([&](auto done) {
      secure.async_handshake(asio::ssl::stream_base::client, std::move(done));
    });
    if (error) throw no_tls(secure.native_handle(), error);
    return exchange(secure);
  }

 private:
  template <class Start>
  error_code await(Start start) {
    error_code result;
    start([&result](error_code error, auto&&...) { result = error; });
    io_.restart();
    io_.run();
    return result;
  }

  template <class Stream>
  http::response<http::string_body> exchange(Stream& stream) {
    error_code error =
        await([&](auto done) { http::async_write(stream, request_, std::move(done)); });
    if (!error) {
      beast::flat_buffer buffer;
      error = await([&](auto done) { http::async_read(stream, buffer, parser_, std::move(done)); });
    }
    if (error) throw no_answer(error);
    return parser_.release();
  }

  asio::ssl::context tls_context() const {
    asio::ssl::context context(asio::ssl::context::tls_client);
    SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
    context.set_verify_mode(asio::ssl::verify_peer);
    if (server_.certificate.empty()) {
      context.set_default_verify_paths();
      context.set_verify_callback(asio::ssl::host_name_verification(bare_host(server_.url)));
      return context;
    }
    // This very certificate is trusted, whoever signed it and whatever name it bears: reading the
    // file is how this machine's own commands know it.
    std::unique_ptr<BIO, decltype(&BIO_free)> file(BIO_new_file(server_.certificate.c_str(), "r"),
                                                   BIO_free);
    X509* read = file ? PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr) : nullptr;
    if (read == nullptr)
      throw Error(Fault::io, fmt::format("cannot read the server's certificate from {}",
                                         server_.certificate.string()));
    const std::shared_ptr<X509> expected(read, X509_free);
    context.set_verify_callback([expected](bool, asio::ssl::verify_context& chain) {
      X509* leaf = X509_STORE_CTX_get0_cert(chain.native_handle());
      return leaf != nullptr && X509_cmp(leaf, expected.get()) == 0;
    });
    return context;
  }

  std::string name() const { return server_.url.origin(); }

  Error nobody(const error_code& error) const {
    const std::string cause =
        error == beast::error::timeout ? "nothing came in time" : error.message();
    return Error(Fault::io,
                 fmt::format("no server answers at {}: {}; 'malina serve' starts one, --server "
                             "names another",
                             name(), cause));
  }
  Error no_tls(SSL* connection, const error_code& error) const {
    if (error == beast::error::timeout) return no_answer(error);
    const long verdict = SSL_get_verify_result(connection);
    if (error.message().find("certificate verify failed") != std::string::npos)
      return Error(
          Fault::io,
          server_.certificate.empty()
              ? fmt::format("{} shows a certificate that is not trusted: {}; --certificate "
                            "names the one that it has",
                            name(), X509_verify_cert_error_string(verdict))
              : fmt::format("{} shows another certificate than that in {}", name(),
                            server_.certificate.string()));
    if (error.message().find("wrong version number") != std::string::npos ||
        error.message().find("packet length too long") != std::string::npos)
      return Error(Fault::io, fmt::format("{} does not speak TLS; is it http://{}:{}?", name(),
                                          server_.url.host, server_.url.port));
    return Error(Fault::io, fmt::format("TLS with {} failed: {}", name(), error.message()));
  }
  Error no_answer(const error_code& error) const {
    if (error == beast::error::timeout)
      return Error(Fault::io, fmt::format("{} did not answer within {} s", name(),
                                          server_.timeout.count() / 1000));
    if (error == http::error::body_limit)
      return Error(Fault::unsupported, fmt::format("the answer of {} is longer than {} bytes",
                                                   name(), server_.most_bytes));
    if (error.category() == http::make_error_code(http::error::bad_version).category() &&
        error != http::error::end_of_stream && error != http::error::partial_message)
      return Error(Fault::unsupported,
                   fmt::format("{} does not answer in HTTP: {}", name(), error.message()));
    const bool maybe_tls = server_.url.scheme == "http" && (error == http::error::end_of_stream ||
                                                            error == asio::error::connection_reset);
    return Error(
        Fault::io,
        fmt::format("{} ended the connection without an answer: {}{}", name(), error.message(),
                    maybe_tls ? "; if it speaks TLS, its address begins with https://" : ""));
  }

  const ApiServer& server_;
  asio::io_context io_{1};
  http::request<http::empty_body> request_;
  Parser parser_;
};

}  // namespace

Url server_url(const ServerSettings& settings) {
  if (settings.port == 0)
    throw Error(Fault::invalid_argument,
                "the port is 0 in the settings, so the server took any that was free: give "
                "--server URL, as 'malina serve' printed it");
  std::string host = settings.host;
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host == "::") host = "::1";
  return {.scheme = settings.tls_certificate.empty() ? "http" : "https",
          .host = host.find(':') == std::string::npos ? host : "[" + host + "]",
          .port = settings.port,
          .target = "/"};
}

std::string api_get(const ApiServer& server, std::string_view target) {
  if (server.url.scheme != "https" && !server.url.is_loopback() && !server.on_this_machine)
    throw Error(
        Fault::invalid_argument,
        fmt::format("{} is another machine, and without TLS everybody between would read the "
                    "key: give an address that begins with https://",
                    server.url.origin()));
  const auto response = Request(server, target).run();
  const unsigned status = response.result_int();
  const std::string name = server.url.origin();
  if (status == 200) return response.body();
  if (status == 401)
    throw Error(Fault::unauthenticated,
                fmt::format("{} refuses the key of {}: it is unknown there, expired or revoked; "
                            "--key-file names another",
                            name, server.key_source));
  if (status == 403 && response.body().find("missing_permission") != std::string::npos)
    throw Error(Fault::denied, fmt::format("the key of {} may not ask {} for {}: that needs the "
                                           "permission 'audit'",
                                           server.key_source, name, target));
  if (status == 403)
    throw Error(Fault::denied,
                fmt::format("{} does not answer to this name; --allowed-hosts of 'malina serve' "
                            "lists those that it does",
                            name));
  if (status == 503)
    throw Error(Fault::overloaded, fmt::format("{} takes no request now (503)", name));
  throw Error(Fault::unsupported,
              fmt::format("{} answers {} with status {}: it is no 'malina serve' of this version",
                          name, target, status));
}

}  // namespace malina::platform
