// The answer of /api/chat and /api/generate: one object a line, or all in one.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>

#include "serve/answering.h"
#include "serve/exchange.h"

namespace malina::serve {

// What the two routes do differently.
struct OllamaShape {
  bool stream = true;
  std::function<Json(std::string text)> piece;  // {"response": text}, {"message": {...}}
};

// Follows the one answer to its end.
asio::awaitable<void> ollama_answer(Exchange& exchange, Answering& answering, std::string model,
                                    OllamaShape shape, std::chrono::steady_clock::time_point began,
                                    std::chrono::steady_clock::time_point loaded);

}  // namespace malina::serve
