// What is asked of an engine, and what comes back.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
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

// How the hidden states of a prompt, after the last norm, become one vector.
enum class Pooling { none, mean, last };

// What may follow a prompt, to be scored: the log-probabilities of its tokens from scored_from on,
// each after the prompt and the tokens before it. Those before scored_from are only read.
struct Continuation {
  std::vector<Token> tokens;    // at least one
  std::size_t scored_from = 0;  // less than the number of tokens
};

struct Generation {
  std::vector<Token> prompt;   // at least one token
  std::size_t max_tokens = 0;  // 0: only score the prompt
  Sampling sampling;
  std::vector<std::string> stop;   // at most kMostStops, none empty
  bool stop_at_end_tokens = true;  // those of the tokenizer
  // Log-probabilities: of the chosen token and this many of the likeliest; nullopt: none.
  std::optional<std::size_t> log_probabilities;
  // An embedding instead of an answer: with max_tokens 0 and without log-probabilities.
  Pooling pooling = Pooling::none;
  bool score_prompt = false;  // log-probabilities of the prompt's tokens too
  // Instead of an answer: with max_tokens 0, without log_probabilities, score_prompt and pooling.
  // The same numbers as of a generation whose prompt holds the continuation too and is scored
  // (where both are on the same side of a model's short context); what continuations share at their
  // beginning is computed once.
  std::vector<Continuation> continuations = {};
  std::unique_ptr<Constraint> constraint;
  std::shared_ptr<const model::Adapter> adapter;
  std::optional<std::chrono::steady_clock::time_point> deadline;
  // On whose account it is computed: the engine's time is shared fairly between owners. "" is one
  // owner too.
  std::string owner = {};
  // Who may see by the time it takes that a prompt was computed before: prompts share computed
  // prefixes within one scope only. "": nothing is shared and nothing is kept.
  std::string cache_scope = {};
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
  std::size_t cached_tokens = 0;  // of the prompt, taken from prefixes that were computed before
  // From submit() until it first runs; from there to the first token; from there to the end.
  std::chrono::nanoseconds queue_time{}, prompt_time{}, answer_time{};
  std::optional<std::string> matched_stop;
  std::vector<float> embedding;  // [width], where pooling was asked for; not normalised
  // Of each continuation, of its tokens from scored_from on; empty where it was cancelled.
  std::vector<std::vector<double>> continuations = {};
  std::size_t continuation_tokens = 0;  // that were computed for them
};

// The answer as it comes. The engine's thread puts events in and never waits; any one thread takes
// them out.
//
// One that waits calls next() until nullopt, then finished(). One that must not wait sets a
// listener, and at each call of it (or later, on its own thread) calls try_next() until nullopt; if
// ended() is true after that, finished() stands. Both rethrow, once all events were taken, what
// ended the generation otherwise.
class Stream {
 public:
  // Waits for the next token; nullopt at the end. Rethrows what ended the generation.
  std::optional<TokenEvent> next();
  // The next token if there is one now. nullopt: nothing has come yet, or it has ended (see
  // ended()). Rethrows what ended the generation.
  std::optional<TokenEvent> try_next();
  // All events were taken and no more will come: next() and try_next() return nullopt at once, or
  // rethrow. Any thread.
  bool ended() const;
  // True when next() would return at once; false when nothing came within the time.
  bool wait_for(std::chrono::nanoseconds time);
  // Calls `listener` after each event and after the end, on the engine's thread; and at once, on
  // the caller's, where something is there already. It may find nothing: what it was called for may
  // have been taken. It must neither block, nor throw, nor call on_change(); all else of the stream
  // may be called from it. Replaces the listener before; an empty one detaches. When on_change()
  // returns, the listener before is not running and will not be called any more. Any thread.
  void on_change(std::function<void()> listener);
  // Tokens of the prompt that are computed. Any thread.
  std::size_t prompt_done() const { return prompt_done_.load(); }
  // After next() has returned nullopt, or ended() true without an error.
  const Finished& finished() const { return finished_; }
  // The engine stops within a step; events already made still come. Any thread.
  void cancel() { cancelled_.store(true); }
  bool cancelled() const { return cancelled_.load(); }

 private:
  friend class Engine;
  friend class Scheduler;
  friend class TokenWriter;
  void push(TokenEvent event);
  void finish(Finished finished);
  void fail(std::exception_ptr error);
  std::optional<TokenEvent> take();  // with mutex_ locked
  void tell();                       // with mutex_ unlocked

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<TokenEvent> events_;
  Finished finished_;
  std::exception_ptr error_;
  bool ended_ = false;
  std::atomic<bool> cancelled_ = false;
  std::atomic<std::size_t> prompt_done_ = 0;
  // Held while the listener runs, and taken before mutex_ where both are: so that detaching waits
  // for it, and no event falls between setting it and looking.
  std::mutex listening_;
  std::function<void()> listener_;
};

}  // namespace malina::engine
