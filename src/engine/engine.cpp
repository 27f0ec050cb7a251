#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <list>
#include <utility>

#include "base/error.h"
#include "engine/task.h"
#include "math/ops/log_sum_exp.h"

namespace malina::engine {

using base::Error;
using base::Fault;
using Clock = std::chrono::steady_clock;

class Engine::Impl {
 public:
  Impl(std::shared_ptr<const model::Model> model, std::shared_ptr<const text::Tokenizer> tokenizer,
       math::Device& device, StepArbiter& arbiter, const EngineOptions& options)
      : tokenizer_(std::move(tokenizer)),
        arbiter_(arbiter),
        transformer_(model, device,
                     {options.precision, options.max_rows,
                      options.context != 0 ? options.context : model->sizes().context}),
        pool_(device, model->sizes(), options.kv_type,
              options.positions != 0 ? options.positions : transformer_.context()),
        model_(std::move(model)),
        vocabulary_(std::min(model_->sizes().vocab, tokenizer_->vocabulary_size())),
        thread_([this] { work(); }) {}

  ~Impl() {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  std::shared_ptr<Stream> submit(Generation generation);
  const model::Model& model() const { return *model_; }
  const text::Tokenizer& tokenizer() const { return *tokenizer_; }
  std::size_t context() const { return transformer_.context(); }

 private:
  struct Line {  // what a row of the batch is for
    Task* task;
    std::size_t prompt_index;  // of the token that this row computes, while in the prompt
  };

  void check(const Generation& generation) const;
  model::PageCounts pages_for(const Generation& generation) const;
  void work();
  bool collect();
  void admit();
  void fill_batch();
  void step();
  void take(const model::Output& output);
  void take_row(const Line& line, std::span<const float> logits, double log_sum);
  void score_prompt(Task& task, std::size_t index, std::span<const float> logits, double log_sum);
  void choose(Task& task, std::span<const float> logits, double log_sum);
  void add_scores(const Task& task, TokenEvent& event, std::span<const float> logits,
                  double log_sum) const;
  void end(Task& task, FinishReason reason);
  void fail_all(const std::exception_ptr& error);
  void sweep();

  std::shared_ptr<const text::Tokenizer> tokenizer_;
  StepArbiter& arbiter_;
  model::Transformer transformer_;
  model::PagePool pool_;
  std::shared_ptr<const model::Model> model_;
  std::size_t vocabulary_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::list<std::unique_ptr<Task>> submitted_;
  bool stopping_ = false;

  // The engine's thread only.
  std::list<std::unique_ptr<Task>> waiting_, running_;
  model::PageCounts reserved_pages_;
  std::vector<model::Row> rows_;
  std::vector<Line> lines_;

  std::thread thread_;  // last: it starts when all else stands
};

model::PageCounts Engine::Impl::pages_for(const Generation& generation) const {
  const std::size_t positions = generation.prompt.size() + generation.max_tokens;
  auto pages = model::PagePool::pages_for(model_->sizes(), positions, transformer_.max_rows());
  for (std::size_t kind = 0; kind < pool_.kinds(); ++kind)
    pages.kinds[kind] = std::min(pages.kinds[kind] + 1, pool_.capacity().kinds[kind]);
  return pages;
}

void Engine::Impl::check(const Generation& generation) const {
  if (generation.prompt.empty()) throw Error(Fault::invalid_argument, "the prompt is empty");
  const std::size_t total = generation.prompt.size() + generation.max_tokens;
  if (generation.max_tokens > transformer_.context() || total > transformer_.context())
    throw Error(
        Fault::invalid_argument,
        fmt::format("the prompt has {} tokens and {} are to be generated, but the context "
                    "holds {}",
                    generation.prompt.size(), generation.max_tokens, transformer_.context()));
  if (!model::PagePool::pages_for(model_->sizes(), total, transformer_.max_rows())
           .fits_in(pool_.capacity()))
    throw Error(
        Fault::invalid_argument,
        fmt::format("{} tokens do not fit in a key-value cache of {}", total, pool_.positions()));
  for (const Token token : generation.prompt)
    if (token < 0 || static_cast<std::size_t>(token) >= model_->sizes().vocab)
      throw Error(
          Fault::invalid_argument,
          fmt::format("token {} is outside of the vocabulary of {}", token, model_->sizes().vocab));
  if (generation.stop.size() > kMostStops)
    throw Error(Fault::invalid_argument,
                fmt::format("{} stop strings, more than {}", generation.stop.size(), kMostStops));
  for (const std::string& stop : generation.stop)
    if (stop.empty()) throw Error(Fault::invalid_argument, "a stop string is empty");
  if (generation.log_probabilities.value_or(0) > kMostTopLogProbabilities)
    throw Error(Fault::invalid_argument,
                fmt::format("{} log-probabilities were asked for, more than {}",
                            *generation.log_probabilities, kMostTopLogProbabilities));
}

std::shared_ptr<Stream> Engine::Impl::submit(Generation generation) {
  check(generation);
  auto stream = std::make_shared<Stream>();
  auto task = std::make_unique<Task>(std::move(generation), stream, vocabulary_);
  {
    const std::scoped_lock lock(mutex_);
    submitted_.push_back(std::move(task));
  }
  wake_.notify_all();
  return stream;
}

void Engine::Impl::work() {
  while (collect()) {
    admit();
    fill_batch();
    if (!rows_.empty()) step();
    sweep();
  }
  for (auto* list : {&running_, &waiting_})
    for (auto& task : *list)
      if (!task->over) end(*task, FinishReason::cancelled);
  running_.clear();
}

// Takes what was submitted; sleeps while there is nothing to do. False when the engine stops.
bool Engine::Impl::collect() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] {
    return stopping_ || !submitted_.empty() || !waiting_.empty() || !running_.empty();
  });
  waiting_.splice(waiting_.end(), submitted_);
  return !stopping_;
}

// In the order of submission, each when all the pages it may ever need are free: what runs never
// fails for want of memory.
void Engine::Impl::admit() {
  while (!waiting_.empty()) {
    Task& task = *waiting_.front();
    const model::PageCounts pages = pages_for(task.generation);
    model::PageCounts reserved = reserved_pages_;
    reserved += pages;
    if (!task.stream->cancelled() && !reserved.fits_in(pool_.capacity())) return;
    task.reserved_pages = pages;
    reserved_pages_ = reserved;
    task.sequence = std::make_unique<model::Sequence>(pool_);
    task.sequence->long_context =
        task.generation.prompt.size() + task.generation.max_tokens > model_->sizes().short_context;
    task.sequence->adapter = task.generation.adapter;
    task.started = Clock::now();
    running_.splice(running_.end(), waiting_, waiting_.begin());
  }
}

void Engine::Impl::fill_batch() {
  rows_.clear();
  lines_.clear();
  const auto now = Clock::now();
  for (auto& task : running_) {
    if (task->stream->cancelled()) {
      end(*task, FinishReason::cancelled);
    } else if (task->generation.deadline && now >= *task->generation.deadline) {
      end(*task, FinishReason::deadline);
    } else if (!task->in_prompt() && rows_.size() < transformer_.max_rows()) {
      rows_.push_back({task->last, task->sequence.get(), model::Wants::logits});
      lines_.push_back({task.get(), task->generation.prompt.size()});
    }
  }
  for (auto& task : running_) {
    if (task->over || !task->in_prompt()) continue;
    const auto& prompt = task->generation.prompt;
    while (task->in_prompt() && rows_.size() < transformer_.max_rows()) {
      const std::size_t index = task->prompt_done++;
      const bool last = index + 1 == prompt.size();
      const bool wanted = last ? task->generation.max_tokens > 0 : task->generation.score_prompt;
      rows_.push_back({prompt[index], task->sequence.get(),
                       wanted ? model::Wants::logits : model::Wants::nothing});
      lines_.push_back({task.get(), index});
    }
  }
}

void Engine::Impl::step() {
  try {
    const std::scoped_lock turn(arbiter_);
    transformer_.forward(rows_, [&](const model::Output& output) { take(output); });
  } catch (...) {
    fail_all(std::current_exception());
    return;
  }
  for (const Line& line : lines_) {
    Task& task = *line.task;
    task.stream->prompt_done_.store(std::min(line.prompt_index + 1, task.generation.prompt.size()));
    const bool computed = line.prompt_index + 1 == task.generation.prompt.size();
    if (!computed || task.over) continue;
    if (task.answering == Clock::time_point{}) task.answering = Clock::now();
    if (task.generation.max_tokens != 0) continue;
    if (task.generation.score_prompt && line.prompt_index == 0)  // nothing to score it by
      task.stream->push({task.generation.prompt[0], true, false, {}, {}, {}});
    end(task, FinishReason::length);
  }
}

void Engine::Impl::take(const model::Output& output) {
  const auto wants_scores = [&](std::size_t row) { return lines_[row].task->wants_scores(); };
  std::vector<double> log_sums(output.rows.size(), 0);
  if (std::any_of(output.rows.begin(), output.rows.end(), wants_scores))
    transformer_.device().run(math::LogSumExp{output.values, log_sums});
  for (std::size_t i = 0; i < output.rows.size(); ++i) {
    const float* logits = math::host_floats(output.values) + i * output.values.stride;
    take_row(lines_[output.rows[i]], {logits, output.values.columns}, log_sums[i]);
  }
}

void Engine::Impl::take_row(const Line& line, std::span<const float> logits, double log_sum) {
  Task& task = *line.task;
  if (task.over) return;
  try {
    const std::size_t prompt_tokens = task.generation.prompt.size();
    if (line.prompt_index + 1 < prompt_tokens)
      score_prompt(task, line.prompt_index, logits, log_sum);
    else
      choose(task, logits, log_sum);
  } catch (...) {  // this generation's own fault: the others go on
    task.stream->fail(std::current_exception());
    task.over = true;
  }
}

void Engine::Impl::add_scores(const Task& task, TokenEvent& event, std::span<const float> logits,
                              double log_sum) const {
  if (!task.wants_scores()) return;
  event.log_probability = double{logits[static_cast<std::size_t>(event.token)]} - log_sum;
  for (const auto& [token, logit] :
       most_likely(logits.first(vocabulary_), *task.generation.log_probabilities))
    event.top.emplace_back(token, double{logit} - log_sum);
}

void Engine::Impl::score_prompt(Task& task, std::size_t index, std::span<const float> logits,
                                double log_sum) {
  check_numbers(logits.first(vocabulary_));
  if (index == 0) task.stream->push({task.generation.prompt[0], true, false, {}, {}, {}});
  TokenEvent event{task.generation.prompt[index + 1], true, false, {}, {}, {}};
  add_scores(task, event, logits, log_sum);
  task.stream->push(std::move(event));
}

void Engine::Impl::choose(Task& task, std::span<const float> logits, double log_sum) {
  const auto& generation = task.generation;
  if (task.answering == Clock::time_point{}) task.answering = Clock::now();
  if (generation.score_prompt && generation.prompt.size() == 1 && task.result.answer_tokens == 0)
    task.stream->push({generation.prompt[0], true, false, {}, {}, {}});
  const TokenMask mask = generation.constraint ? generation.constraint->allowed() : TokenMask{};
  const Token token = task.sampler.sample(logits, mask);
  if (generation.constraint) generation.constraint->accept(token);
  ++task.result.answer_tokens;
  task.last = token;

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

void Engine::Impl::end(Task& task, FinishReason reason) {
  const auto now = Clock::now();
  const bool answered = task.answering != Clock::time_point{};
  const bool began = task.started != Clock::time_point{};
  task.result.reason = reason;
  task.result.text = task.stops.push(task.characters.finish());
  if (task.stops.matched())
    task.result.reason = FinishReason::stop;
  else
    task.result.text += task.stops.finish();
  task.result.prompt_tokens = task.generation.prompt.size();
  if (began) task.result.prompt_time = (answered ? task.answering : now) - task.started;
  if (answered) task.result.answer_time = now - task.answering;
  task.stream->finish(task.result);
  task.over = true;
}

void Engine::Impl::fail_all(const std::exception_ptr& error) {
  for (auto& task : running_) {
    if (task->over) continue;
    task->stream->fail(error);
    task->over = true;
  }
}

void Engine::Impl::sweep() {
  std::erase_if(running_, [&](const std::unique_ptr<Task>& task) {
    if (task->over) reserved_pages_ -= task->reserved_pages;
    return task->over;
  });
}

Engine::Engine(std::shared_ptr<const model::Model> model,
               std::shared_ptr<const text::Tokenizer> tokenizer, math::Device& device,
               StepArbiter& arbiter, const EngineOptions& options)
    : impl_(std::make_unique<Impl>(std::move(model), std::move(tokenizer), device, arbiter,
                                   options)) {}
Engine::~Engine() = default;
std::shared_ptr<Stream> Engine::submit(Generation generation) {
  return impl_->submit(std::move(generation));
}
const model::Model& Engine::model() const { return impl_->model(); }
const text::Tokenizer& Engine::tokenizer() const { return impl_->tokenizer(); }
std::size_t Engine::context() const { return impl_->context(); }

}  // namespace malina::engine
