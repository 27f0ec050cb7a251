// An answer as it comes, for callers that wait and for callers that must not.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "platform/generation.h"

namespace malina::platform {

// What came since the last look. Text is whole characters.
struct AnswerPiece {
  std::string text;
  std::vector<std::int32_t> token_ids;  // with echo, those of the prompt first
  std::vector<ScoredToken> scores;  // where asked for: as many as token_ids. Their text_offset is
                                    // 0: it is known at the end alone, see GenerationResult
};

// One owner; one thread at a time. Its end cancels what is still under way.
class Answer {
 public:
  virtual ~Answer() = default;

  // What has come, without waiting; nullopt where nothing has. Throws what ended the generation.
  virtual std::optional<AnswerPiece> poll() = 0;
  // Nothing more will come; result() is whole.
  virtual bool ended() const = 0;
  // True when poll() has something, or the answer has ended; false after the time.
  virtual bool wait_for(std::chrono::milliseconds time) = 0;
  // Called on a foreign thread when there may be something new; it must not block. An empty one
  // takes the last one away, which then is not running any more.
  virtual void on_change(std::function<void()> listener) = 0;
  virtual void cancel() = 0;
  // Tokens of the prompt that are computed, of result().prompt_tokens. Any thread.
  virtual std::size_t prompt_done() const = 0;
  // After ended(): all of it but its decisions. Before: prompt_tokens and seed.
  virtual const GenerationResult& result() const = 0;
  // After ended(): what was decided, made now of what was computed, which takes as long as there
  // are labels. Empty where nothing was asked, and of an answer that did not come to its end.
  virtual std::vector<Decision> decisions() = 0;
};

}  // namespace malina::platform
