#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "base/error.h"
#include "engine/generation_check.h"
#include "engine/scheduler.h"
#include "engine/step_pace.h"
#include "engine/task.h"
#include "engine/token_writer.h"
#include "math/ops/log_sum_exp.h"

namespace malina::engine {

using base::Error;
using base::Fault;
using Clock = std::chrono::steady_clock;

namespace {

// Nothing to compute while something waits does not happen; should it, this is how long it takes to
// see cancellations, not a busy loop.
constexpr auto kIdle = std::chrono::milliseconds(5);

}  // namespace

class Engine::Impl {
 public:
  Impl(std::shared_ptr<const model::Model> model, std::shared_ptr<const text::Tokenizer> tokenizer,
       math::Device& device, StepArbiter& arbiter, const EngineOptions& options)
      : arbiter_(arbiter),
        transformer_(model, device,
                     {options.precision, options.max_rows,
                      options.context != 0 ? options.context : model->sizes().context}),
        pool_(device, model->sizes(), options.kv_type,
              options.positions != 0 ? options.positions : transformer_.context()),
        model_(std::move(model)),
        check_(model_->sizes(), pool_, transformer_.context(), transformer_.max_rows()),
        writer_(tokenizer, std::min(model_->sizes().vocab, tokenizer->vocabulary_size())),
        pace_(options.step_time),
        scheduler_(pool_, transformer_.max_rows(), model_->sizes().short_context,
                   options.speculation,
                   [this](std::size_t positions) { return check_.pages_for(positions); }),
        max_waiting_(options.max_waiting) {
    report();
    thread_ = std::thread([this] { work(); });  // when all else stands
  }

  ~Impl() {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  std::vector<std::shared_ptr<Stream>> submit(std::vector<Generation> generations);
  const model::Model& model() const { return *model_; }
  const text::Tokenizer& tokenizer() const { return writer_.tokenizer(); }
  std::size_t context() const { return transformer_.context(); }
  EngineStatus status() const;

 private:
  struct Line {  // what a row of the batch is for
    Task* task;
    std::size_t index;                      // of the token that it computes, among the task's
    Branches::Node node = Branches::kRoot;  // of the continuations, after all those
  };

  void work();
  bool collect();
  void end_what_is_not_wanted();
  void fill_batch();
  void add_row(Task& task, std::size_t index);
  void add_branch_rows(Task& task);
  void advance_branches();
  void step();
  void take(const model::Output& output);
  void pool(const model::Output& output);
  bool as_guessed(std::size_t row) const;
  void fail_all(const std::exception_ptr& error);
  void report();

  StepArbiter& arbiter_;
  model::Transformer transformer_;
  model::PagePool pool_;
  std::shared_ptr<const model::Model> model_;
  const GenerationCheck check_;

  // The engine's thread only.
  TokenWriter writer_;
  StepPace pace_;
  Scheduler scheduler_;
  std::vector<model::Row> rows_;
  std::deque<std::map<Branches::Node, std::vector<model::Sequence*>>> heirs_;  // of rows_
  std::vector<Line> lines_;
  std::size_t prompt_rows_ = 0;  // of rows_
  EngineStatus counts_;          // what report() passes on

  std::size_t max_waiting_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::unique_ptr<Task>> submitted_;
  EngineStatus status_;  // without what is in submitted_
  bool stopping_ = false;

  std::thread thread_;
};

std::vector<std::shared_ptr<Stream>> Engine::Impl::submit(std::vector<Generation> generations) {
  std::vector<std::shared_ptr<Stream>> streams;
  std::vector<std::unique_ptr<Task>> tasks;
  for (Generation& generation : generations) {
    check_.check(generation);
    streams.push_back(std::make_shared<Stream>());
    tasks.push_back(
        std::make_unique<Task>(std::move(generation), streams.back(), writer_.vocabulary()));
    if (tasks.back()->branches) check_.check_branches(*tasks.back());
  }
  {
    const std::scoped_lock lock(mutex_);
    const std::size_t waiting = status_.waiting + submitted_.size();
    if (max_waiting_ != 0 && waiting >= max_waiting_)
      throw Error(Fault::overloaded, fmt::format("{} answers wait already", waiting));
    submitted_.reserve(submitted_.size() + tasks.size());
    for (auto& task : tasks) {
      task->submitted = Clock::now();
      submitted_.push_back(std::move(task));
    }
  }
  wake_.notify_all();
  return streams;
}

void Engine::Impl::work() {
  while (collect()) {
    end_what_is_not_wanted();
    fill_batch();
    report();
    if (!rows_.empty()) step();
    scheduler_.sweep();
    report();
  }
  scheduler_.each([&](Task& task) {
    if (!task.over) writer_.end(task, FinishReason::cancelled);
  });
  for (auto& task : submitted_) writer_.end(*task, FinishReason::cancelled);
}

// Takes what was submitted; sleeps while there is nothing to do. False when the engine stops.
bool Engine::Impl::collect() {
  std::unique_lock lock(mutex_);
  const auto something = [&] { return stopping_ || !submitted_.empty(); };
  if (scheduler_.running() + scheduler_.waiting() == 0)
    wake_.wait(lock, something);
  else if (rows_.empty())
    wake_.wait_for(lock, kIdle, something);
  if (stopping_) return false;
  status_.waiting += submitted_.size();
  for (auto& task : submitted_) scheduler_.add(std::move(task));
  submitted_.clear();
  return true;
}

// Cancelled or late: also what waits, whether or not it could be admitted.
void Engine::Impl::end_what_is_not_wanted() {
  const auto now = Clock::now();
  scheduler_.each([&](Task& task) {
    if (task.stream->cancelled())
      writer_.end(task, FinishReason::cancelled);
    else if (task.generation.deadline && now >= *task.generation.deadline)
      writer_.end(task, FinishReason::deadline);
  });
  scheduler_.sweep();
}

void Engine::Impl::fill_batch() {
  rows_.clear();
  heirs_.clear();
  lines_.clear();
  prompt_rows_ = 0;
  for (const Scheduler::Portion& portion : scheduler_.plan(pace_)) {
    Task& task = *portion.task;
    if (task.remaining() > 1) prompt_rows_ += portion.rows;
    const std::size_t first = task.computed();
    for (std::size_t index = first; index < first + portion.rows; ++index) add_row(task, index);
    task.sequence->revocable = static_cast<std::uint32_t>(portion.drafts.size());
    if (portion.rows == 0) add_branch_rows(task);
    for (std::size_t i = 0; i < portion.drafts.size(); ++i) {
      rows_.push_back({portion.drafts[i], task.sequence.get(), model::Wants::logits});
      lines_.push_back({&task, first + portion.rows + i});
    }
  }
}

void Engine::Impl::add_branch_rows(Task& task) {
  auto& heirs = heirs_.emplace_back();
  for (const Branches::Piece& piece : task.branches->planned())
    for (const Branches::Node node : piece.inherited) heirs[node].push_back(piece.sequence.get());
  for (const Branches::Piece& piece : task.branches->planned())
    for (const Branches::Node node : piece.nodes) {
      rows_.push_back({task.branches->token(node), piece.sequence.get(),
                       task.branches->scores(node) ? model::Wants::logits : model::Wants::nothing});
      if (const auto found = heirs.find(node); found != heirs.end())
        rows_.back().heirs = found->second;
      lines_.push_back({&task, task.prompt_tokens, node});
      ++prompt_rows_;
      ++counts_.continuation_tokens;
    }
}

void Engine::Impl::add_row(Task& task, std::size_t index) {
  const bool last = index + 1 == task.tokens.size();
  const bool scores =
      task.generation.score_prompt && index + 1 < task.prompt_tokens && index + 1 >= task.scored;
  const bool wanted = last ? task.generation.max_tokens > 0 || task.branches : scores;
  const Pooling pooling = task.generation.pooling;
  const bool pooled =
      pooling == Pooling::mean ? index >= task.pooled_positions : pooling == Pooling::last && last;
  model::Wants wants = wanted ? model::Wants::logits : model::Wants::nothing;
  if (pooled) wants = model::Wants::hidden;
  rows_.push_back({task.tokens[index], task.sequence.get(), wants});
  lines_.push_back({&task, index});
}

void Engine::Impl::step() {
  try {
    const std::scoped_lock turn(arbiter_);
    const auto start = Clock::now();
    transformer_.forward(
        rows_, [&](const model::Output& output) { take(output); },
        [&](const model::Output& output) { pool(output); });
    counts_.last_step = Clock::now() - start;
  } catch (...) {
    fail_all(std::current_exception());
    return;
  }
  pace_.measured(rows_.size() - prompt_rows_, prompt_rows_, counts_.last_step);
  ++counts_.steps;
  counts_.prompt_tokens_computed +=
      static_cast<std::uint64_t>(std::count_if(lines_.begin(), lines_.end(), [](const Line& line) {
        return line.index < line.task->prompt_tokens;
      }));
  for (const Line& line : lines_) writer_.prompt_computed(*line.task, line.index + 1);
  advance_branches();
  scheduler_.computed();
}

// What follows the nodes that were computed may begin; where nothing does, all is scored.
void Engine::Impl::advance_branches() {
  Task* before = nullptr;
  for (const Line& line : lines_) {
    Task& task = *line.task;
    if (&task == before || !task.branches || task.over || task.remaining() > 0) continue;
    before = &task;
    Branches& branches = *task.branches;
    if (branches.begun())
      branches.planned_computed();
    else
      branches.begin();
    if (!branches.done()) continue;
    task.result.continuations = branches.log_probabilities();
    task.result.continuation_tokens = branches.computed();
    writer_.end(task, FinishReason::length);
  }
}

void Engine::Impl::take(const model::Output& output) {
  const auto wants_scores = [&](std::size_t row) {
    return lines_[row].task->wants_scores() || lines_[row].task->branches;
  };
  std::vector<double> log_sums(output.rows.size(), 0);
  if (std::any_of(output.rows.begin(), output.rows.end(), wants_scores))
    transformer_.device().run(math::LogSumExp{output.values, log_sums});
  for (std::size_t i = 0; i < output.rows.size(); ++i) {
    const Line& line = lines_[output.rows[i]];
    const float* logits = math::host_floats(output.values) + i * output.values.stride;
    if (line.task->branches) {
      writer_.take_branch(*line.task, line.node, {logits, output.values.columns}, log_sums[i]);
      continue;
    }
    if (!as_guessed(output.rows[i])) continue;
    const std::size_t before = line.task->result.answer_tokens;
    writer_.take(*line.task, line.index, {logits, output.values.columns}, log_sums[i]);
    counts_.answer_tokens += line.task->result.answer_tokens - before;
  }
}

// In the order of positions, whatever the pieces in which the prompt is computed.
void Engine::Impl::pool(const model::Output& output) {
  for (std::size_t i = 0; i < output.rows.size(); ++i) {
    const Line& line = lines_[output.rows[i]];
    Task& task = *line.task;
    const std::size_t width = output.values.columns;
    const float* hidden = math::host_floats(output.values) + i * output.values.stride;
    task.pooled.resize(width);
    for (std::size_t column = 0; column < width; ++column)
      task.pooled[column] += double{hidden[column]};
    ++task.pooled_positions;
    if (line.index + 1 < task.prompt_tokens) continue;
    const auto count = static_cast<double>(task.pooled_positions);
    task.result.embedding.resize(width);
    for (std::size_t column = 0; column < width; ++column)
      task.result.embedding[column] = static_cast<float>(task.pooled[column] / count);
  }
}

// A draft's logits count where the draft is what the sampler has chosen since; all other rows hold
// known tokens. Rows of one sequence come in order.
bool Engine::Impl::as_guessed(std::size_t row) const {
  const Line& line = lines_[row];
  return line.index < line.task->tokens.size() && line.task->tokens[line.index] == rows_[row].token;
}

void Engine::Impl::fail_all(const std::exception_ptr& error) {
  scheduler_.each([&](Task& task) {
    if (task.sequence != nullptr && !task.over) writer_.fail(task, error);
  });
}

void Engine::Impl::report() {
  counts_.running = scheduler_.running();
  counts_.waiting = scheduler_.waiting();
  counts_.pages_capacity = pool_.capacity().total();
  counts_.pages_cached = pool_.idle_pages().total();
  counts_.pages_used = counts_.pages_capacity - pool_.free_pages().total() - counts_.pages_cached;
  counts_.prompt_tokens_cached = scheduler_.cached_tokens();
  counts_.preemptions = scheduler_.preemptions();
  counts_.drafted_tokens = scheduler_.drafted_tokens();
  counts_.accepted_tokens = scheduler_.accepted_tokens();
  const std::scoped_lock lock(mutex_);
  status_ = counts_;
}

EngineStatus Engine::Impl::status() const {
  const std::scoped_lock lock(mutex_);
  EngineStatus status = status_;
  status.waiting += submitted_.size();
  return status;
}

Engine::Engine(std::shared_ptr<const model::Model> model,
               std::shared_ptr<const text::Tokenizer> tokenizer, math::Device& device,
               StepArbiter& arbiter, const EngineOptions& options)
    : impl_(std::make_unique<Impl>(std::move(model), std::move(tokenizer), device, arbiter,
                                   options)) {}
Engine::~Engine() = default;
std::shared_ptr<Stream> Engine::submit(Generation generation) {
  std::vector<Generation> one;
  one.push_back(std::move(generation));
  return std::move(impl_->submit(std::move(one)).front());
}
std::vector<std::shared_ptr<Stream>> Engine::submit(std::vector<Generation> generations) {
  return impl_->submit(std::move(generations));
}
const model::Model& Engine::model() const { return impl_->model(); }
const text::Tokenizer& Engine::tokenizer() const { return impl_->tokenizer(); }
std::size_t Engine::context() const { return impl_->context(); }
EngineStatus Engine::status() const { return impl_->status(); }

}  // namespace malina::engine
