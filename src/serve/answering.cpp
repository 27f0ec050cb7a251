#include "serve/answering.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "base/error.h"
#include "platform/language_model.h"
#include "serve/api_error.h"
#include "serve/recorded.h"

namespace malina::serve {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kLook = std::chrono::milliseconds(1000);  // so the pool knows that one waits
constexpr auto kCheck = std::chrono::milliseconds(500);
constexpr auto kFirstLook = std::chrono::milliseconds(4);  // for a turn
constexpr auto kLastLook = std::chrono::milliseconds(256);
constexpr auto kPing = std::chrono::seconds(15);

}  // namespace

std::string new_id(std::string_view prefix) {
  std::array<unsigned char, 12> bytes{};
  RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
  std::string id(prefix);
  for (const unsigned char byte : bytes) id += fmt::format("{:02x}", byte);
  return id;
}

asio::awaitable<platform::ModelPool::Lease> ready_model(Exchange& exchange,
                                                        platform::Service& service,
                                                        std::string model) {
  const auto until = Clock::now() + service.settings().load_wait;
  std::unique_ptr<platform::ModelPool::Waiting> waiting;
  for (;;) {
    auto lease =
        co_await exchange.elsewhere([&] { return service.lease(exchange.caller(), model); });
    if (lease) co_return *std::move(lease);
    if (!waiting) {  // and ask once more: it may have become ready meanwhile
      waiting = service.pool().wait(exchange.waker());
      continue;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    if (left.count() <= 0)
      throw ApiError{.status = 503,
                     .type = "overloaded_error",
                     .code = "loading",
                     .param = "model",
                     .message = "the model '" + model + "' is still loading",
                     .retry_after = std::chrono::seconds(5)};
    co_await exchange.pause(std::min(left, kLook));
  }
}

platform::RequestOrigin Answering::origin() const {
  const platform::Caller& caller = exchange_.caller();
  const auto longest =
      std::min<Clock::duration>(service_.settings().request_timeout, caller.limits.longest_request);
  return {.owner = caller.key_id,
          .cache_scope = "tenant:" + caller.tenant,
          .deadline = Clock::now() + longest};
}

namespace {

bool request_echo(const platform::CompletionRequest& request) { return request.echo; }
bool request_echo(const platform::ChatRequest&) { return false; }
bool request_echo(const platform::EmbeddingRequest&) { return false; }
bool request_echo(const Questions&) { return false; }

template <class Request>
std::vector<platform::Prepared> prepared_of(const platform::LanguageModel& model,
                                            const Request& request, std::size_t each) {
  return model.prepare(request, each);
}

// The text may be long: it is there once, however many ask about it. An answer to a question has no
// chance in it, so that there is one.
std::vector<platform::Prepared> prepared_of(const platform::LanguageModel& model,
                                            const Questions& request, std::size_t) {
  std::vector<platform::Prepared> prepared;
  platform::DecisionRequest one{.question = {}, .texts = {request.text}, .origin = request.origin};
  for (const platform::QuestionPointer& question : request.questions) {
    one.question = question;
    std::ranges::move(model.prepare(one), std::back_inserter(prepared));
  }
  return prepared;
}

}  // namespace

template <class Request>
void Answering::start_here(std::vector<Request>& requests, std::size_t each,
                           std::string_view action) {
  // Before anything is computed or recorded: who comes in vain hears it at once.
  const std::size_t most = service_.settings().max_queue;
  if (const std::size_t waiting = lease_.model->load().waiting; most != 0 && waiting >= most)
    throw base::Error(base::Fault::overloaded, fmt::format("{} answers wait already", waiting));
  const platform::RequestOrigin from = origin();
  std::size_t prompt_tokens = 0;
  std::size_t most_tokens = 0;
  std::vector<platform::Prepared> prepared;
  for (Request& request : requests) {
    request.origin = from;
    echo_ = request_echo(request);
    std::vector<platform::Prepared> answers = prepared_of(*lease_.model, request, each);
    request = {};  // its text may be long, and is in tokens now
    std::ranges::move(answers, std::back_inserter(prepared));
  }
  for (const platform::Prepared& one : prepared) {
    prompt_tokens += one.prompt_tokens();
    most_tokens += one.most_tokens();
  }
  record_ = service_.begin(exchange_.caller(),
                           {.action = std::string(action),
                            .model = lease_.label,
                            .digest = lease_.digest.hex(),
                            .request_id = exchange_.request_id(),
                            .tokens = static_cast<std::int64_t>(prompt_tokens + most_tokens)});
  admitted_ = Clock::now();
  last_piece_.resize(prepared.size());
  answers_ = lease_.model->start(std::move(prepared));
}

template void Answering::start_here(std::vector<platform::ChatRequest>&, std::size_t,
                                    std::string_view);
template void Answering::start_here(std::vector<platform::CompletionRequest>&, std::size_t,
                                    std::string_view);
template void Answering::start_here(std::vector<platform::EmbeddingRequest>&, std::size_t,
                                    std::string_view);
template void Answering::start_here(std::vector<Questions>&, std::size_t, std::string_view);

asio::awaitable<void> Answering::start_tuned(platform::TunedRecord record, std::string text,
                                             std::string_view action) {
  const platform::RequestFacts facts{
      .action = std::string(action),
      .model = record.name,
      .digest = record.digest.substr(record.digest.find(':') + 1),
      .request_id = exchange_.request_id(),
      .tokens = static_cast<std::int64_t>(std::min(record.most_tokens, text.size() + 2) +
                                          record.question_tokens)};
  const auto work = [&] {
    const auto deadline = *origin().deadline;
    record_ = service_.begin(exchange_.caller(), facts);
    admitted_ = Clock::now();
    last_piece_.resize(1);
    answers_.push_back(service_.tuned_answers().ask(record, std::move(text), deadline));
  };
  co_await exchange_.elsewhere(work);
  exchange_.release_body();
  show_quota(exchange_, record_->quota());
}

asio::awaitable<void> Answering::wait_for_turn() {
  auto look = kFirstLook;  // the turn itself is no event of an answer
  for (;;) {
    for (const auto& answer : answers_)
      if (answer->prompt_done() > 0 || answer->ended() ||
          answer->wait_for(std::chrono::milliseconds(0)))
        co_return;
    if (Clock::now() - admitted_ >= service_.settings().queue_wait)
      throw ApiError{.status = 503,
                     .type = "overloaded_error",
                     .code = "overloaded",
                     .message = "the request did not get its turn in time",
                     .retry_after = std::chrono::seconds(5)};
    co_await exchange_.changed(answers_, look);
    look = std::min(look * 2, kLastLook);
  }
}

void Answering::observe(std::size_t index, const platform::AnswerPiece& piece) {
  if (piece.text.empty()) return;
  const auto seconds = [](auto time) { return std::chrono::duration<double>(time).count(); };
  const auto now = Clock::now();
  if (last_piece_[index] == Moment{})
    metrics_.first_token(seconds(now - admitted_));
  else
    metrics_.between_tokens(seconds(now - last_piece_[index]));
  last_piece_[index] = now;
}

asio::awaitable<std::optional<Answering::Event>> Answering::next() {
  for (;;) {
    bool all_ended = true;
    for (std::size_t i = 0; i < answers_.size(); ++i) {
      const std::size_t index = (looked_at_ + i) % answers_.size();
      platform::Answer& answer = *answers_[index];
      if (answer.ended()) continue;
      all_ended = false;
      auto piece = answer.poll();
      if (!piece) continue;
      looked_at_ = index + 1;
      last_event_ = Clock::now();
      if (answer.ended() && answer.result().finish_reason == "deadline")
        throw ApiError{.status = 408,
                       .type = "timeout_error",
                       .code = "request_timeout",
                       .message = "the answer took longer than this key may have",
                       .retry_helps = false};
      observe(index, *piece);
      co_return Event{index, *std::move(piece), answer.ended()};
    }
    if (all_ended) co_return std::nullopt;
    co_await exchange_.changed(answers_, kCheck);
    const auto now = Clock::now();
    if (now - last_check_ >= kCheck) {
      last_check_ = now;
      service_.check_still_valid(exchange_.caller());
    }
    if (!ping_.empty() && exchange_.began() && now - last_event_ >= kPing) {
      last_event_ = now;
      co_await exchange_.write(ping_);
    }
  }
}

Answering::Tokens Answering::computed(const platform::Answer& answer) const {
  const platform::GenerationResult& result = answer.result();
  if (answer.ended()) return {result.prompt_tokens, result.completion_tokens};
  // What was taken from it; what the engine has made since is little.
  const std::size_t echoed = echo_ ? result.prompt_tokens : 0;
  const std::size_t taken = result.token_ids.size() - std::min(result.token_ids.size(), echoed);
  return {answer.prompt_done(), taken};
}

platform::RequestOutcome Answering::outcome() const {
  platform::RequestOutcome outcome;
  for (const auto& answer : answers_) {
    const auto [prompt, completion] = computed(*answer);
    outcome.prompt_tokens += static_cast<std::int64_t>(prompt);
    outcome.completion_tokens += static_cast<std::int64_t>(completion);
  }
  return outcome;
}

Answering::~Answering() {
  if (!record_) return;
  for (const auto& answer : answers_) answer->cancel();
  try {
    count();
    exchange_.leave(std::move(record_), outcome());
  } catch (...) {
    // No memory for a record: the intent without an outcome says as much.
  }
}

void Answering::count() {
  for (const auto& answer : answers_) {
    const platform::GenerationResult& result = answer->result();
    if (answer->ended()) metrics_.queued(result.queue_seconds);
    const auto [prompt, completion] = computed(*answer);
    exchange_.metrics().tokens(exchange_.caller().key_id, lease_.label, prompt,
                               result.cached_tokens, completion);
  }
}

asio::awaitable<void> Answering::settle() {
  count();
  const platform::RequestOutcome done = outcome();
  const auto record = std::move(record_);
  co_await exchange_.elsewhere([&] { service_.end(*record, done); });
}

asio::awaitable<void> Answering::finish() {
  co_await wait_for_turn();
  for (;;) {  // GCC 12 makes a trap of an empty loop that waits in its condition
    const std::optional<Event> event = co_await next();
    if (!event) break;
  }
  co_await settle();
}

}  // namespace malina::serve
