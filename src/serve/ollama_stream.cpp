#include "serve/ollama_stream.h"

#include "serve/ollama.h"

namespace malina::serve {

namespace {

Json line(const std::string& model, Json piece) {
  Json json{{"model", model}, {"created_at", ollama_now()}};
  json.update(piece);
  json["done"] = false;
  return json;
}

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

asio::awaitable<void> ollama_answer(Exchange& exchange, Answering& answering, std::string model,
                                    OllamaShape shape, std::chrono::steady_clock::time_point began,
                                    std::chrono::steady_clock::time_point loaded) {
  co_await answering.wait_for_turn();
  if (shape.stream) co_await exchange.begin_stream("application/x-ndjson");
  while (const auto next = co_await answering.next())
    if (shape.stream && !next->piece.text.empty())
      co_await exchange.write(text_of(line(model, shape.piece(next->piece.text))));
  co_await answering.settle();
  const platform::GenerationResult& result = answering.answers()[0]->result();
  const auto seconds = [](auto time) { return std::chrono::duration<double>(time).count(); };
  Json last = line(model, shape.piece(shape.stream ? std::string() : result.text));
  add_summary(last, result, seconds(loaded - began),
              seconds(std::chrono::steady_clock::now() - began));
  if (!shape.stream) {
    co_await exchange.reply(last);
    co_return;
  }
  co_await exchange.write(text_of(last));
  co_await exchange.end_stream();
}

}  // namespace malina::serve
