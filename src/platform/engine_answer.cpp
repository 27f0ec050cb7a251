#include "platform/engine_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "text/unicode.h"

namespace malina::platform {

namespace {

// Where tokens begin in the text they make, in characters as Utf8Stream has them: an invalid byte
// is one. A token that begins inside of a character begins with the next one.
class TokenOffsets {
 public:
  void add(std::string_view bytes) {
    starts_.push_back(bytes_.size());
    bytes_ += bytes;
  }
  std::vector<std::size_t> in_characters() const {
    std::vector<std::size_t> offset_of(bytes_.size() + 1);
    std::size_t count = 0;
    for (std::size_t at = 0; at < bytes_.size(); ++count) {
      const std::size_t length =
          std::max<std::size_t>(1, text::valid_character(std::string_view(bytes_).substr(at)));
      offset_of[at] = count;
      for (std::size_t i = 1; i < length; ++i) offset_of[at + i] = count + 1;
      at += length;
    }
    offset_of.back() = count;
    std::vector<std::size_t> offsets;
    for (const std::size_t start : starts_) offsets.push_back(offset_of[start]);
    return offsets;
  }

 private:
  std::string bytes_;
  std::vector<std::size_t> starts_;
};

// A token's own text, as the OpenAI API spells one that is not whole characters.
std::string token_text(const text::Tokenizer& tokenizer, text::Token token) {
  const std::string bytes = tokenizer.bytes(token, true);
  text::Utf8Stream stream;
  if (stream.push(bytes) == bytes) return bytes;
  std::string escaped = "bytes:";
  for (const char byte : bytes)
    escaped += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return escaped;
}

class EngineAnswer final : public Answer {
 public:
  EngineAnswer(std::shared_ptr<engine::Stream> stream,
               std::shared_ptr<const text::Tokenizer> tokenizer, const AnswerShape& shape)
      : stream_(std::move(stream)), tokenizer_(std::move(tokenizer)), shape_(shape) {
    result_.prompt_tokens = shape.prompt_tokens;
    result_.seed = shape.seed;
  }
  ~EngineAnswer() override {
    stream_->on_change({});
    stream_->cancel();
  }

  std::optional<AnswerPiece> poll() override;
  bool ended() const override { return ended_; }
  bool wait_for(std::chrono::milliseconds time) override {
    return ended_ || stream_->wait_for(time);
  }
  void on_change(std::function<void()> listener) override {
    stream_->on_change(std::move(listener));
  }
  void cancel() override { stream_->cancel(); }
  std::size_t prompt_done() const override { return stream_->prompt_done(); }
  const GenerationResult& result() const override { return result_; }
  std::vector<Decision> decisions() override;

 private:
  void take(const engine::TokenEvent& event, AnswerPiece& piece);
  void score(const engine::TokenEvent& event, AnswerPiece& piece) const;
  void finish(AnswerPiece& piece);

  std::shared_ptr<engine::Stream> stream_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  const AnswerShape shape_;
  GenerationResult result_;
  text::Utf8Stream prompt_text_;
  TokenOffsets offsets_;
  std::vector<decide::SpanExtractor::WrittenToken> written_;  // of a decision
  bool ended_ = false;
};

std::optional<AnswerPiece> EngineAnswer::poll() {
  if (ended_) return std::nullopt;
  AnswerPiece piece;
  bool any = false;
  while (const auto event = stream_->try_next()) {
    take(*event, piece);
    any = true;
  }
  if (stream_->ended()) {
    finish(piece);
    any = true;
  }
  if (!any) return std::nullopt;
  result_.text += piece.text;
  result_.token_ids.insert(result_.token_ids.end(), piece.token_ids.begin(), piece.token_ids.end());
  result_.scores.insert(result_.scores.end(), piece.scores.begin(), piece.scores.end());
  if (!ended_) return piece;
  const std::vector<std::size_t> places = offsets_.in_characters();
  for (std::size_t i = 0; i < result_.scores.size(); ++i) result_.scores[i].text_offset = places[i];
  return piece;
}

void EngineAnswer::take(const engine::TokenEvent& event, AnswerPiece& piece) {
  if (event.prompt && !shape_.echo) return;
  if (!event.prompt)
    piece.text += prompt_text_.finish();  // a character that the prompt leaves open
  piece.token_ids.push_back(event.token);
  if (shape_.decide) written_.push_back({event.token, event.log_probability.value_or(0)});
  if (shape_.scores) score(event, piece);
  const std::string bytes = event.end ? "" : tokenizer_->bytes(event.token);
  offsets_.add(bytes);
  piece.text += event.prompt ? prompt_text_.push(bytes) : event.text;
}

void EngineAnswer::score(const engine::TokenEvent& event, AnswerPiece& piece) const {
  ScoredToken score{
      event.token, token_text(*tokenizer_, event.token), event.log_probability, {}, 0};
  bool chosen = !event.log_probability;
  for (const auto& [token, log_probability] : event.top) {
    chosen = chosen || token == event.token;
    score.top.emplace_back(token_text(*tokenizer_, token), log_probability);
  }
  if (!chosen && !event.top.empty()) score.top.emplace_back(score.text, *event.log_probability);
  piece.scores.push_back(std::move(score));
}

void EngineAnswer::finish(AnswerPiece& piece) {
  ended_ = true;
  const engine::Finished& finished = stream_->finished();
  piece.text += prompt_text_.finish() + finished.text;
  result_.finish_reason = engine::name(finished.reason);
  result_.embedding = finished.embedding;
  result_.prompt_tokens = finished.prompt_tokens + finished.continuation_tokens;
  result_.completion_tokens = finished.answer_tokens;
  result_.cached_tokens = finished.cached_tokens;
  result_.queue_seconds = static_cast<double>(finished.queue_time.count()) * 1e-9;
  result_.prompt_seconds = static_cast<double>(finished.prompt_time.count()) * 1e-9;
  result_.completion_seconds = static_cast<double>(finished.answer_time.count()) * 1e-9;
}

std::vector<Decision> EngineAnswer::decisions() {
  const engine::Finished& finished = stream_->finished();
  if (!shape_.decide || finished.reason == engine::FinishReason::cancelled ||
      finished.reason == engine::FinishReason::deadline)
    return {};
  return shape_.decide(finished, written_);
}

class ReadyAnswer final : public Answer {
 public:
  explicit ReadyAnswer(GenerationResult result) : result_(std::move(result)) {}
  std::optional<AnswerPiece> poll() override {
    return std::exchange(ended_, true) ? std::nullopt : std::optional(AnswerPiece());
  }
  bool ended() const override { return ended_; }
  bool wait_for(std::chrono::milliseconds) override { return true; }
  void on_change(std::function<void()> listener) override {
    if (listener) listener();
  }
  void cancel() override {}
  std::size_t prompt_done() const override { return result_.prompt_tokens; }
  const GenerationResult& result() const override { return result_; }
  std::vector<Decision> decisions() override { return result_.decisions; }

 private:
  GenerationResult result_;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Answer> make_ready_answer(GenerationResult result) {
  return std::make_unique<ReadyAnswer>(std::move(result));
}

std::unique_ptr<Answer> make_answer(std::shared_ptr<engine::Stream> stream,
                                    std::shared_ptr<const text::Tokenizer> tokenizer,
                                    const AnswerShape& shape) {
  return std::make_unique<EngineAnswer>(std::move(stream), std::move(tokenizer), shape);
}

}  // namespace malina::platform
