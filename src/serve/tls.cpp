#include "serve/tls.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "base/error.h"
#include "serve/log.h"

namespace malina::serve {

namespace {

constexpr auto kLook = std::chrono::seconds(2);

base::Error unusable(const std::filesystem::path& file, const boost::system::error_code& error) {
  std::error_code missing;
  if (!std::filesystem::exists(file, missing))
    return base::Error(base::Fault::not_found, file.string() + ": there is no such file");
  return base::Error(base::Fault::corrupt_file,
                     fmt::format("{}: cannot be used for TLS: {}", file.string(), error.message()));
}

}  // namespace

Certificates::Certificates(std::filesystem::path certificate, std::filesystem::path key)
    : certificate_(std::move(certificate)), key_(std::move(key)) {
  if (certificate_.empty() != key_.empty())
    throw base::Error(base::Fault::invalid_argument,
                      "TLS needs both --tls-certificate and --tls-key");
  if (certificate_.empty()) return;
  read_at_ = stamp();
  context_ = read();
}

Certificates::Stamp Certificates::stamp() const {
  std::error_code error;  // a file that is away for a moment has no time
  return {std::filesystem::last_write_time(certificate_, error),
          std::filesystem::last_write_time(key_, error)};
}

std::shared_ptr<asio::ssl::context> Certificates::read() const {
  using asio::ssl::context;
  auto made = std::make_shared<context>(context::tls_server);
  made->set_options(context::default_workarounds | context::no_sslv2 | context::no_sslv3 |
                    context::no_tlsv1 | context::no_tlsv1_1 | context::no_compression);
  // Without this OpenSSL would ask at the terminal, and the server would wait for it.
  made->set_password_callback(
      [](std::size_t, asio::ssl::context::password_purpose) { return std::string(); });
  boost::system::error_code error;
  made->use_certificate_chain_file(certificate_.string(), error);
  if (error) throw unusable(certificate_, error);
  made->use_private_key_file(key_.string(), context::pem, error);
  if (error) throw unusable(key_, error);
  if (SSL_CTX_check_private_key(made->native_handle()) != 1)
    throw base::Error(base::Fault::corrupt_file, fmt::format("{}: is not the key of {}",
                                                             key_.string(), certificate_.string()));
  return made;
}

asio::awaitable<void> Certificates::watch(Log& log) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;;) {
    timer.expires_after(kLook);
    const auto [error] = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
    const Stamp now = stamp();
    if (now == read_at_) continue;
    try {
      context_ = read();
      log.info("the certificate was read anew");
    } catch (const base::Error& failure) {
      log.error(fmt::format("the last certificate stays in use: {}", failure.what()));
    }
    read_at_ = now;
  }
}

}  // namespace malina::serve
