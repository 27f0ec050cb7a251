// An engine's stream as an Answer.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "decide/span_extractor.h"
#include "engine/generation.h"
#include "platform/answer.h"
#include "text/tokenizer.h"

namespace malina::platform {

struct AnswerShape {
  std::size_t prompt_tokens = 0;
  std::uint64_t seed = 0;
  bool scores = false;  // a ScoredToken for each token
  bool echo = false;    // the prompt is part of it
  // What makes decisions of the result and of the tokens that were written, with their
  // log-probabilities; empty where none were asked for.
  std::function<std::vector<Decision>(const engine::Finished&,
                                      const std::vector<decide::SpanExtractor::WrittenToken>&)>
      decide = {};
};

std::unique_ptr<Answer> make_answer(std::shared_ptr<engine::Stream> stream,
                                    std::shared_ptr<const text::Tokenizer> tokenizer,
                                    const AnswerShape& shape);

// A result that needed no engine.
std::unique_ptr<Answer> make_ready_answer(GenerationResult result);

}  // namespace malina::platform
