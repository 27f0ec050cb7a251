// An engine's stream as an Answer.
#pragma once

#include <memory>

#include "engine/generation.h"
#include "platform/answer.h"
#include "text/tokenizer.h"

namespace malina::platform {

struct AnswerShape {
  std::size_t prompt_tokens = 0;
  std::uint64_t seed = 0;
  bool scores = false;  // a ScoredToken for each token
  bool echo = false;    // the prompt is part of it
};

std::unique_ptr<Answer> make_answer(std::shared_ptr<engine::Stream> stream,
                                    std::shared_ptr<const text::Tokenizer> tokenizer,
                                    const AnswerShape& shape);

}  // namespace malina::platform
