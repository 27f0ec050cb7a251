// The server's certificate, read again when its file changes.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ssl/context.hpp>
#include <filesystem>
#include <memory>

namespace malina::serve {

namespace asio = boost::asio;
class Log;

// TLS 1.2 and later. One thread.
class Certificates {
 public:
  // Both empty: plain HTTP. Throws base::Error: not_found, corrupt_file (not PEM, or the key does
  // not belong to the certificate).
  Certificates(std::filesystem::path certificate, std::filesystem::path key);

  bool enabled() const { return context_ != nullptr; }
  // For the next connection; those that are open keep theirs. Null where not enabled.
  std::shared_ptr<asio::ssl::context> context() const { return context_; }
  // Looks every few seconds. Files that cannot be used are reported, and the last good ones stay.
  asio::awaitable<void> watch(Log& log);

 private:
  struct Stamp {
    std::filesystem::file_time_type certificate, key;
    bool operator==(const Stamp&) const = default;
  };
  Stamp stamp() const;
  std::shared_ptr<asio::ssl::context> read() const;

  std::filesystem::path certificate_, key_;
  Stamp read_at_{};
  std::shared_ptr<asio::ssl::context> context_;
};

}  // namespace malina::serve
