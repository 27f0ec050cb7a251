// GET /v1/files/{file_id}/content: a file's bytes, as they came.
#include <optional>

#include "base/file.h"
#include "platform/service.h"
#include "serve/endpoint.h"
#include "serve/recorded.h"

namespace malina::serve {

namespace {

constexpr std::uint64_t kPiece = 256 * 1024;

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  std::optional<base::File> file;
  const std::function<std::string()> open = [&] {
    const auto record = service.jobs().file(exchange.caller(), exchange.parameter());
    file = service.jobs().open(record);
    return std::string();
  };
  const std::string opened = co_await recorded(exchange, service, "files.content", open);
  static_cast<void>(opened);
  const std::uint64_t size = file->size();
  co_await exchange.begin_bytes("application/octet-stream", size);
  if (!exchange.sends_body()) co_return;
  for (std::uint64_t at = 0; at < size; at += kPiece) {
    std::string piece = co_await exchange.elsewhere([&] {
      std::string bytes(std::min(kPiece, size - at), '\0');
      file->read_at(at, std::as_writable_bytes(std::span(bytes)));
      return bytes;
    });
    co_await exchange.write(std::move(piece));
  }
}

}  // namespace

extern const Endpoint files_content{.method = Method::get,
                                    .path = "/v1/files/{file_id}/content",
                                    .needs = Permission::train,
                                    .works = true,
                                    .summary = "The bytes of a file",
                                    .tag = "openai",
                                    .answer_type = "application/octet-stream",
                                    .answer_schema = R"({"type": "string", "format": "binary"})",
                                    .answer = answer};

}  // namespace malina::serve
