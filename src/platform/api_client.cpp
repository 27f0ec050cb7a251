// HTTP/1.0 on purpose: an answer to it comes in one piece, and ends with its connection. By hand on
// sockets and OpenSSL, since Beast's client would be the most expensive file of the platform to
// compile, for one GET.
#include "platform/api_client.h"

#include <fmt/format.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "base/error.h"
#include "platform/descriptor.h"
#include "platform/http_header.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kLongestHeader = 16 * 1024;
constexpr std::size_t kPiece = 16 * 1024;
constexpr auto kLook = std::chrono::milliseconds(100);  // whether somebody still waits

template <auto free>
struct Freed {
  template <class Thing>
  void operator()(Thing* thing) const {
    free(thing);
  }
};
using TlsContext = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using Tls = std::unique_ptr<SSL, Freed<SSL_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Bio = std::unique_ptr<BIO, Freed<BIO_free>>;

// The host as a name to look up: an IPv6 address without its brackets.
std::string bare_host(const Url& url) {
  return url.host.starts_with('[') ? url.host.substr(1, url.host.size() - 2) : url.host;
}

// Says of every failure what it means for who asked.
class Failure {
 public:
  explicit Failure(const ApiServer& server) : server_(server), name_(server.url.origin()) {}

  Error nobody(std::string_view cause) const {
    return Error(Fault::io, fmt::format("no server answers at {}: {}; 'malina serve' starts one, "
                                        "--server names another",
                                        name_, cause));
  }
  Error too_late() const {
    return Error(Fault::io, fmt::format("{} did not answer within {} s", name_,
                                        server_.timeout.count() / 1000));
  }
  Error given_up() const {
    return Error(Fault::cancelled, fmt::format("{} was no longer waited for", name_));
  }
  Error too_long() const {
    return Error(Fault::unsupported, fmt::format("the answer of {} is longer than {} bytes", name_,
                                                 server_.most_bytes));
  }
  Error no_http() const { return Error(Fault::unsupported, name_ + " does not answer in HTTP"); }
  Error cut(std::string_view cause) const {
    const bool maybe_tls = server_.url.scheme == "http";
    return Error(
        Fault::io,
        fmt::format("{} ended the connection without an answer: {}{}", name_, cause,
                    maybe_tls ? "; if it speaks TLS, its address begins with https://" : ""));
  }
  Error no_tls(const SSL* connection) const {
    const long verdict = SSL_get_verify_result(connection);
    const unsigned long error = ERR_peek_error();
    if (verdict != X509_V_OK && server_.certificate.empty())
      return Error(Fault::io, fmt::format("{} shows a certificate that is not trusted: {}; "
                                          "--certificate names the one that it has",
                                          name_, X509_verify_cert_error_string(verdict)));
    if (verdict != X509_V_OK)
      return Error(Fault::io, fmt::format("{} shows another certificate than that in {}", name_,
                                          server_.certificate.string()));
    if (ERR_GET_REASON(error) == SSL_R_WRONG_VERSION_NUMBER)
      return Error(Fault::io, fmt::format("{} does not speak TLS; is it http://{}:{}?", name_,
                                          server_.url.host, server_.url.port));
    const char* const reason = ERR_reason_error_string(error);
    return Error(Fault::io, fmt::format("TLS with {} failed: {}", name_,
                                        reason != nullptr ? reason : "the connection ended"));
  }

 private:
  const ApiServer& server_;
  const std::string name_;
};

Certificate read_certificate(const std::filesystem::path& file) {
  const Bio bio(BIO_new_file(file.c_str(), "r"));
  Certificate read(bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr);
  if (!read)
    throw Error(Fault::io,
                fmt::format("cannot read the server's certificate from {}", file.string()));
  return read;
}

// This very certificate is trusted, whoever signed it and whatever name it bears: reading the
// file is how this machine's own commands know it.
int is_expected(X509_STORE_CTX* shown, void* expected) {
  X509* const leaf = X509_STORE_CTX_get0_cert(shown);
  if (leaf != nullptr && X509_cmp(leaf, static_cast<const X509*>(expected)) == 0) return 1;
  X509_STORE_CTX_set_error(shown, X509_V_ERR_CERT_REJECTED);
  return 0;
}

// A socket that never blocks, with or without TLS, until a deadline.
class Wire {
 public:
  explicit Wire(const ApiServer& server)
      : server_(server), failure_(server), deadline_(Clock::now() + server.timeout) {
    connect();
    if (server.url.scheme == "https") begin_tls();
  }

  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const long size =
          tls_ ? step([&] {
            return SSL_write(tls_.get(), bytes.data(), static_cast<int>(bytes.size()));
          })
               : step_plain(POLLOUT, [&] {
                   return ::send(socket_.number(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
                 });
      if (size <= 0) throw failure_.cut("it took no request");
      bytes.remove_prefix(static_cast<std::size_t>(size));
    }
  }

  // 0 at the end.
  std::size_t read(char* place, std::size_t size) {
    const long got =
        tls_ ? step([&] { return SSL_read(tls_.get(), place, static_cast<int>(size)); })
             : step_plain(POLLIN, [&] { return ::recv(socket_.number(), place, size, 0); });
    return static_cast<std::size_t>(std::max(got, 0L));
  }

 private:
  void connect() {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const int error = ::getaddrinfo(bare_host(server_.url).c_str(),
                                    std::to_string(server_.url.port).c_str(), &hints, &found);
    if (error != 0) throw failure_.nobody(::gai_strerror(error));
    const std::unique_ptr<addrinfo, Freed<::freeaddrinfo>> held(found);
    int cause = 0;
    for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
      socket_ = Descriptor(
          ::socket(each->ai_family, each->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      if (::connect(socket_.number(), each->ai_addr, each->ai_addrlen) == 0) return;
      cause = errno;
      if (cause == EINPROGRESS) {
        if (!wait(POLLOUT)) throw failure_.nobody("nothing came in time");
        socklen_t size = sizeof(cause);
        ::getsockopt(socket_.number(), SOL_SOCKET, SO_ERROR, &cause, &size);
      }
      if (cause == 0) return;
    }
    throw failure_.nobody(std::strerror(cause));
  }

  void begin_tls() {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    if (server_.certificate.empty()) {
      SSL_CTX_set_default_verify_paths(context_.get());
    } else {
      expected_ = read_certificate(server_.certificate);
      SSL_CTX_set_cert_verify_callback(context_.get(), is_expected, expected_.get());
    }
    tls_.reset(SSL_new(context_.get()));
    const std::string host = bare_host(server_.url);
    if (server_.url.is_address()) {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls_.get()), host.c_str());
    } else {
      SSL_set_tlsext_host_name(tls_.get(), host.c_str());
      SSL_set1_host(tls_.get(), host.c_str());
    }
    SSL_set_fd(tls_.get(), socket_.number());
    ERR_clear_error();
    if (step([&] { return SSL_connect(tls_.get()); }) != 1) throw failure_.no_tls(tls_.get());
  }

  // Until the socket is ready; false where the time is up.
  bool wait(short events) {
    for (;;) {
      auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
      if (left.count() <= 0) return false;
      if (server_.given_up) {
        if (server_.given_up()) throw failure_.given_up();
        left = std::min<std::chrono::milliseconds>(left, kLook);
      }
      pollfd entry{socket_.number(), events, 0};
      const int ready = ::poll(&entry, 1, static_cast<int>(left.count()));
      if (ready > 0) return true;
      if (ready < 0 && errno != EINTR) throw base::system_error("cannot wait for a connection");
    }
  }

  template <class Call>
  long step(Call call) {
    for (;;) {
      const int result = call();
      if (result > 0) return result;
      const int need = SSL_get_error(tls_.get(), result);
      if (need != SSL_ERROR_WANT_READ && need != SSL_ERROR_WANT_WRITE) return result;
      if (!wait(need == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT)) throw failure_.too_late();
    }
  }
  template <class Call>
  long step_plain(short events, Call call) {
    for (;;) {
      const long result = call();
      if (result >= 0 || (errno != EAGAIN && errno != EINTR)) return result;
      if (!wait(events)) throw failure_.too_late();
    }
  }

  const ApiServer& server_;
  const Failure failure_;
  const Clock::time_point deadline_;
  Descriptor socket_;
  Certificate expected_;
  TlsContext context_;
  Tls tls_;
};

struct Response {
  std::uint64_t status = 0;
  std::string body;
};

// The value of Content-Length in a header's lines; nullopt where there is none that reads.
std::optional<std::size_t> content_length(std::string_view header) {
  while (!header.empty()) {
    const std::size_t end = std::min(header.find("\r\n"), header.size());
    const std::string_view line = header.substr(0, end);
    header.remove_prefix(std::min(end + 2, header.size()));
    const std::size_t colon = std::min(line.find(':'), line.size());
    if (lower_case(line.substr(0, colon)) != "content-length") continue;
    if (const auto length = parse_decimal(trimmed(line.substr(std::min(colon + 1, line.size())))))
      return length;
  }
  return std::nullopt;
}

// "HTTP/1.1 200 OK" is 200; nullopt for what is no such line.
std::optional<std::uint64_t> status_of(std::string_view line) {
  if (line.size() < 12 || !line.starts_with("HTTP/1.") || line[8] != ' ') return std::nullopt;
  const auto status = parse_decimal(line.substr(9, 3));
  return status >= 100U ? status : std::nullopt;
}

Response exchange(const ApiServer& server, std::string_view target) {
  const Failure failure(server);
  Wire wire(server);
  wire.write(fmt::format("GET {} HTTP/1.0\r\nHost: {}:{}\r\nAuthorization: Bearer {}\r\n\r\n",
                         target, server.url.host, server.url.port, server.key));
  std::string bytes(kPiece, '\0');
  std::size_t size = 0, body_at = 0;
  std::optional<std::size_t> length;
  while (body_at == 0 || !length || size < body_at + *length) {
    bytes.resize(size + kPiece);
    const std::size_t got = wire.read(bytes.data() + size, kPiece);
    if (got == 0) break;
    size += got;
    const std::string_view view(bytes.data(), size);
    if (body_at == 0) {
      const std::size_t end = view.find("\r\n\r\n");
      if (end == std::string_view::npos && size <= kLongestHeader) continue;
      if (end > kLongestHeader || !status_of(view)) throw failure.no_http();
      body_at = end + 4;
      length = content_length(view.substr(0, end));
    }
    if (std::max(length.value_or(0), size - body_at) > server.most_bytes) throw failure.too_long();
  }
  if (size == 0) throw failure.cut("nothing came");
  if (body_at == 0) throw failure.no_http();
  if (length && size < body_at + *length) throw failure.cut("only a part of it came");
  Response response{.status = *status_of(bytes), .body = {}};
  response.body.assign(bytes, body_at, length.value_or(size - body_at));
  return response;
}

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
  const Response response = exchange(server, target);
  const std::uint64_t status = response.status;
  const std::string name = server.url.origin();
  if (status == 200) return response.body;
  if (status == 401)
    throw Error(Fault::unauthenticated,
                fmt::format("{} refuses the key of {}: it is unknown there, expired or revoked; "
                            "--key-file names another",
                            name, server.key_source));
  if (status == 403 && response.body.find("missing_permission") != std::string::npos)
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
