#include "decide/span_extractor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "decide/text_check.h"

namespace malina::decide {

using base::Error;
using base::Fault;

namespace {

constexpr std::size_t kMostTokens = 1024;  // of an answer

}  // namespace

SpanExtractor::SpanExtractor(PromptSource source, std::shared_ptr<const Question> question,
                             std::shared_ptr<const TokenBytes> tokens, std::size_t context)
    : source_(std::move(source)),
      question_(std::move(question)),
      tokens_(std::move(tokens)),
      context_(context) {}

engine::Generation SpanExtractor::ask(std::string_view text) const {
  if (const std::string refusal = refusal_of_text(text); !refusal.empty())
    throw Error(Fault::invalid_argument, refusal, {.parameter = "input"});
  engine::Generation generation;
  generation.prompt = prompt_tokens(source_, message_of(*question_, text));
  // No byte comes twice; lines' ends and the end itself come besides.
  const std::size_t most =
      std::min(kMostTokens, source_.tokenizer->encode(text).size() * 2 + question_->most_spans + 4);
  const std::size_t room = context_ - std::min(context_, generation.prompt.size());
  if (room < 16 || room < std::min<std::size_t>(most, 64))
    throw Error(Fault::invalid_argument,
                fmt::format("the text with its question has {} tokens, but the context holds {}: "
                            "too little is left for an answer",
                            generation.prompt.size(), context_),
                {.parameter = "input"});
  generation.max_tokens = std::min(most, room);
  generation.sampling.temperature = 0;
  generation.log_probabilities = 0;
  generation.constraint =
      std::make_unique<VerbatimConstraint>(tokens_, text, question_->most_spans);
  return generation;
}

Answer SpanExtractor::answer_of(std::string_view text, std::span<const WrittenToken> written,
                                const Calibration* calibration) const {
  Answer answer;
  VerbatimReader reader(text, question_->most_spans);
  double whole = 0;
  double piece = 0;
  const auto add = [&] {
    if (reader.pieces().size() == answer.spans.size()) return;
    const Piece& last = reader.pieces().back();
    Span& span = answer.spans.emplace_back(span_of(text, last));
    span.probability = std::exp(piece);
    piece = 0;
  };
  for (const WrittenToken& each : written) {
    whole += each.log_probability;
    piece += each.log_probability;
    const std::string bytes = source_.tokenizer->bytes(each.token);
    if (!bytes.empty()) reader.accept(bytes);
    add();
  }
  reader.end();
  add();
  answer.probability = answer.confidence = std::exp(whole);
  answer.label_mass = 1;
  const auto threshold = calibration != nullptr && calibration->abstain_below
                             ? calibration->abstain_below
                             : question_->abstain_below;
  answer.calibrated = calibration != nullptr;
  answer.abstain = threshold && answer.probability < *threshold;
  return answer;
}

}  // namespace malina::decide
