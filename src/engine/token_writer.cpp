#include "engine/token_writer.h"

#include <algorithm>

namespace malina::engine {

using Clock = std::chrono::steady_clock;

void TokenWriter::take(Task& task, std::size_t index, std::span<const float> logits,
                       double log_sum) {
  if (task.over) return;
  try {
    if (index + 1 < task.prompt_tokens)
      score(task, index, logits, log_sum);
    else
      choose(task, logits, log_sum);
  } catch (...) {  // this generation's own fault: the others go on
    fail(task, std::current_exception());
  }
}

void TokenWriter::take_branch(Task& task, Branches::Node node, std::span<const float> logits,
                              double log_sum) {
  if (task.over) return;
  try {
    check_numbers(logits.first(vocabulary_));
    task.branches->take(node, logits, log_sum);
  } catch (...) {  // this task's own fault: the others go on
    fail(task, std::current_exception());
  }
}

void TokenWriter::add_scores(const Task& task, TokenEvent& event, std::span<const float> logits,
                             double log_sum) const {
  if (!task.wants_scores()) return;
  event.log_probability = double{logits[static_cast<std::size_t>(event.token)]} - log_sum;
  for (const auto& [token, logit] :
       most_likely(logits.first(vocabulary_), *task.generation.log_probabilities))
    event.top.emplace_back(token, double{logit} - log_sum);
}

// There is nothing to score the first token by.
void TokenWriter::begin_scores(Task& task) {
  if (!task.generation.score_prompt || task.scored > 0) return;
  task.stream->push({task.tokens[0], true, false, {}, {}, {}});
  task.scored = 1;
}

void TokenWriter::score(Task& task, std::size_t index, std::span<const float> logits,
                        double log_sum) {
  check_numbers(logits.first(vocabulary_));
  begin_scores(task);
  TokenEvent event{task.tokens[index + 1], true, false, {}, {}, {}};
  add_scores(task, event, logits, log_sum);
  task.stream->push(std::move(event));
  task.scored = index + 2;
}

void TokenWriter::choose(Task& task, std::span<const float> logits, double log_sum) {
  const auto& generation = task.generation;
  begin_scores(task);
  if (task.answering == Clock::time_point{}) task.answering = Clock::now();
  const TokenMask mask = generation.constraint ? generation.constraint->allowed() : TokenMask{};
  const Token token = task.sampler.sample(logits, mask);
  if (generation.constraint) generation.constraint->accept(token);
  ++task.result.answer_tokens;
  task.tokens.push_back(token);

  TokenEvent event{token, false, false, {}, {}, {}};
  add_scores(task, event, logits, log_sum);
  const auto ends = tokenizer_->end_tokens();
  event.end = std::find(ends.begin(), ends.end(), token) != ends.end();
  const bool stop = event.end && generation.stop_at_end_tokens;
  if (!stop) event.text = task.stops.push(task.characters.push(tokenizer_->bytes(token)));
  task.stream->push(std::move(event));
  if (stop || task.stops.matched())
    end(task, FinishReason::stop);
  else if (task.result.answer_tokens == generation.max_tokens)
    end(task, FinishReason::length);
}

void TokenWriter::prompt_computed(Task& task, std::size_t tokens) {
  task.stream->prompt_done_.store(std::min(tokens, task.prompt_tokens));
  if (task.over || tokens < task.prompt_tokens) return;
  if (task.answering == Clock::time_point{}) task.answering = Clock::now();
  if (task.generation.max_tokens != 0 || task.branches) return;
  begin_scores(task);
  end(task, FinishReason::length);
}

void TokenWriter::end(Task& task, FinishReason reason) {
  const auto now = Clock::now();
  const bool answered = task.answering != Clock::time_point{};
  task.result.reason = reason;
  task.result.text = task.stops.push(task.characters.finish());
  if (task.stops.matched())
    task.result.reason = FinishReason::stop;
  else
    task.result.text += task.stops.finish();
  task.result.prompt_tokens = task.prompt_tokens;
  if (!task.admitted)
    task.result.queue_time = now - task.submitted;
  else
    task.result.prompt_time = (answered ? task.answering : now) - task.started;
  if (answered) task.result.answer_time = now - task.answering;
  task.over = true;
  task.stream->finish(task.result);
}

void TokenWriter::fail(Task& task, std::exception_ptr error) {
  task.over = true;
  task.stream->fail(std::move(error));
}

}  // namespace malina::engine
