// What is asked of an engine, and what comes back.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/sampler.h"
#include "model/adapter.h"

namespace malina::engine {

// Masks tokens; one for each generation, called on the engine's thread only.
class Constraint {
 public:
  virtual ~Constraint() = default;
  virtual TokenMask allowed() = 0;  // valid until accept()
  virtual void accept(Token token) = 0;
};

inline constexpr std::size_t kMostStops = 4;
inline constexpr std::size_t kMostTopLogProbabilities = 20;

struct Generation {
  std::vector<Token> prompt;   // at least one token
  std::size_t max_tokens = 0;  // 0: only score the prompt
  Sampling sampling;
  std::vector<std::string> stop;   // at most kMostStops, none empty
  bool stop_at_end_tokens = true;  // those of the tokenizer
  // Log-probabilities: of the chosen token and this many of the likeliest; nullopt: none.
  std::optional<std::size_t> log_probabilities;
  bool score_prompt = false;  // log-probabilities of the prompt's tokens too
  std::unique_ptr<Constraint> constraint;
  std::shared_ptr<const model::Adapter> adapter;
  std::optional<std::chrono::steady_clock::time_point> deadline;
};

enum class FinishReason { stop, length, cancelled, deadline };
std::string_view name(FinishReason reason);

struct TokenEvent {
  Token token;
  bool prompt;       // a token of the prompt, being scored
  bool end;          // an end token: part of the ids, not of the text
  std::string text;  // what may be shown now: whole UTF-8 characters; may be empty
  // log-softmax of the model's own logits, before temperature and penalties; nullopt where not
  // asked for and for the prompt's first token.
  std::optional<double> log_probability;
  std::vector<std::pair<Token, double>> top;  // likeliest first
};

struct Finished {
  FinishReason reason = FinishReason::stop;
  std::string text;  // the last of it, that was held back
  std::size_t prompt_tokens = 0, answer_tokens = 0;
  std::chrono::nanoseconds prompt_time{}, answer_time{};
  std::optional<std::string> matched_stop;
};

// The answer as it comes. The engine's thread puts events in and never waits; any one thread takes
// them out.
class Stream {
 public:
  // Waits for the next token; nullopt at the end. Rethrows what ended the generation.
  std::optional<TokenEvent> next();
  // True when next() would return at once; false when nothing came within the time.
  bool wait_for(std::chrono::nanoseconds time);
  // Tokens of the prompt that are computed. Any thread.
  std::size_t prompt_done() const { return prompt_done_.load(); }
  // After next() has returned nullopt.
  const Finished& finished() const { return finished_; }
  // The engine stops within a step; events already made still come. Any thread.
  void cancel();
  bool cancelled() const;

 private:
  friend class Engine;
  void push(TokenEvent event);
  void finish(Finished finished);
  void fail(std::exception_ptr error);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<TokenEvent> events_;
  Finished finished_;
  std::exception_ptr error_;
  bool ended_ = false;
  bool cancelled_ = false;
  std::atomic<std::size_t> prompt_done_ = 0;
};

}  // namespace malina::engine
