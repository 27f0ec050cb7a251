#include "platform/tuned_answers.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "decide/text_check.h"
#include "platform/model_file.h"
#include "platform/model_memory.h"
#include "platform/tuned_output.h"
#include "platform/tuning.h"
#include "tune/label_answers.h"

namespace malina::platform {

using base::Error;
using base::Fault;
using Clock = std::chrono::steady_clock;

namespace {

// Of one turn on the processor, which others wait for: a text of any length, or some short ones.
constexpr std::size_t kMostTexts = 8, kMostBytes = 2048;
// Files of a classifier are read into tables that take about twice as much.
constexpr std::uint64_t kTableShare = 2;
// All who ask for what cannot be loaded hear why; who asks later makes it be tried again.
constexpr auto kFailureStands = std::chrono::seconds(2);

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// What tune::Classifier computes a text in: each layer's input, and the rows of one layer.
std::uint64_t pass_bytes(const model::Sizes& sizes, std::size_t tokens) {
  const std::uint64_t rows = std::max<std::size_t>(tokens, 512);
  const std::uint64_t row = sizes.layers * sizes.width + 24 * sizes.width +
                            8 * sizes.heads * sizes.head_width + 8 * sizes.hidden;
  return rows * row * sizeof(float);
}

// A token has at least a byte; a template writes some more around them.
std::size_t question_tokens(const tune::ClassifierManifest& manifest) {
  constexpr std::size_t kAround = 256;
  std::size_t bytes = kAround + manifest.instructions.size(), longest = 0;
  for (const std::string& label : manifest.labels) {
    bytes += label.size() + 3;
    longest = std::max(longest, label.size());
  }
  return bytes + longest + 1;
}

}  // namespace

// One text on its way.
struct TunedAnswers::Job {
  TunedRecord record;
  std::string text;
  Clock::time_point deadline, asked = Clock::now();
  std::atomic<bool> cancelled = false;
  std::atomic<std::size_t> computed = 0;  // tokens

  std::mutex mutex;
  std::condition_variable changed;
  std::function<void()> listener;
  bool done = false;
  std::exception_ptr error;
  GenerationResult result;

  void finish(const std::function<void(Job&)>& fill) {
    const std::scoped_lock lock(mutex);
    if (done) return;
    fill(*this);
    done = true;
    changed.notify_all();
    if (listener) listener();
  }
  void fail(std::exception_ptr why) {
    finish([&](Job& job) { job.error = std::move(why); });
  }
  void end(const char* reason) {
    finish([&](Job& job) { job.result.finish_reason = reason; });
  }
};

struct TunedAnswers::Loaded {
  std::unique_ptr<LoadedClassifier> classifier;  // null where it could not be loaded
  std::exception_ptr error;                      // then
  std::uint64_t bytes = 0;                       // of the pool
  bool used = true;                              // now
  Clock::time_point last_used = Clock::now();
};

class TunedAnswers::TunedAnswer final : public Answer {
 public:
  explicit TunedAnswer(std::shared_ptr<Job> job) : job_(std::move(job)) {}
  ~TunedAnswer() override {
    on_change({});
    cancel();
  }

  std::optional<AnswerPiece> poll() override {
    const std::scoped_lock lock(job_->mutex);
    if (ended_ || !job_->done) return std::nullopt;
    ended_ = true;
    if (job_->error) std::rethrow_exception(job_->error);
    result_ = std::move(job_->result);
    return AnswerPiece();
  }
  bool ended() const override { return ended_; }
  bool wait_for(std::chrono::milliseconds time) override {
    std::unique_lock lock(job_->mutex);
    return job_->changed.wait_for(lock, time, [&] { return job_->done; });
  }
  void on_change(std::function<void()> listener) override {
    const std::scoped_lock lock(job_->mutex);
    job_->listener = std::move(listener);
  }
  void cancel() override { job_->cancelled = true; }
  std::size_t prompt_done() const override { return job_->computed; }
  const GenerationResult& result() const override { return result_; }
  std::vector<Decision> decisions() override { return result_.decisions; }

 private:
  std::shared_ptr<Job> job_;
  GenerationResult result_;
  bool ended_ = false;
};

TunedRecord tuned_record(const std::filesystem::path& directory, std::string name) {
  TunedRecord record;
  record.name = std::move(name);
  record.directory = directory;
  const bool tags = tune::SpanTagger::is_one(directory);
  const auto manifest = directory / (tags ? tune::kSpanManifestName : tune::kManifestName);
  record.kind = tags ? "tagger" : "classifier";
  record.digest = base::digest_file(base::File::open(manifest)).text();
  if (tags) {
    record.most_tokens = tune::SpanTagger::manifest(directory).form.max_tokens;
  } else {
    const tune::ClassifierManifest facts = tune::Classifier::manifest(directory);
    record.most_tokens = facts.form.max_tokens;
    if (facts.uses(tune::Method::labels)) record.question_tokens = question_tokens(facts);
  }
  const TunedClassifiers::Base base = TunedClassifiers::base_of(directory);
  record.base = base.name;
  record.base_digest = base.digest;
  if (base.digest.empty()) record.most_tokens = 0;
  struct stat facts{};
  if (::stat(manifest.c_str(), &facts) == 0) record.created = facts.st_mtime;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    if (entry.is_regular_file()) record.size_bytes += entry.file_size();
  return record;
}

TunedAnswers::TunedAnswers(Processor& processor, ModelPool& pool, Options options)
    : processor_(processor),
      pool_(pool),
      options_(std::move(options)),
      thread_([this] { work(); }) {
  pool_.set_reclaim([this] { return give_up(std::chrono::seconds(0)); });
}

TunedAnswers::~TunedAnswers() {
  pool_.set_reclaim({});
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
  for (const auto& job : jobs_) job->end("cancelled");
  for (const auto& [key, loaded] : loaded_) pool_.give_back(loaded->bytes);
}

std::unique_ptr<Answer> TunedAnswers::ask(const TunedRecord& record, std::string text,
                                          Clock::time_point deadline) {
  if (const std::string refusal = decide::refusal_of_text(text); !refusal.empty())
    throw Error(Fault::invalid_argument, refusal, {.parameter = "input"});
  auto job = std::make_shared<Job>();
  job->record = record;
  job->text = std::move(text);
  job->deadline = deadline;
  const std::scoped_lock lock(mutex_);
  if (options_.most_waiting != 0 && jobs_.size() >= options_.most_waiting)
    throw Error(Fault::overloaded,
                fmt::format("{} texts wait already for tuned classifiers", jobs_.size()),
                {.retry_after = std::chrono::seconds(5)});
  jobs_.push_back(job);
  changed_.notify_all();
  return std::make_unique<TunedAnswer>(std::move(job));
}

void TunedAnswers::work() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::seconds(1), [&] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
    }
    if (options_.keep_alive.count() >= 0)
      while (give_up(options_.keep_alive)) {
      }
    std::vector<std::shared_ptr<Job>> batch = next_batch();
    if (!batch.empty()) answer(std::move(batch));
  }
}

// The first that is still wanted, and what came after it for the same classifier, as much as one
// turn takes.
std::vector<std::shared_ptr<TunedAnswers::Job>> TunedAnswers::next_batch() {
  std::vector<std::shared_ptr<Job>> batch, ended;
  {
    const std::scoped_lock lock(mutex_);
    const auto now = Clock::now();
    std::size_t bytes = 0;
    for (auto each = jobs_.begin(); each != jobs_.end() && batch.size() < kMostTexts;) {
      const std::shared_ptr<Job>& job = *each;
      const bool over = job->cancelled || now >= job->deadline;
      const bool fits = batch.empty() || (job->record.directory == batch[0]->record.directory &&
                                          job->record.digest == batch[0]->record.digest &&
                                          bytes + job->text.size() <= kMostBytes);
      if (!over && !fits) {
        ++each;
        continue;
      }
      if (!over) bytes += job->text.size();
      (over ? ended : batch).push_back(job);
      each = jobs_.erase(each);
    }
  }
  for (const auto& job : ended) job->end(job->cancelled ? "cancelled" : "deadline");
  return batch;
}

void TunedAnswers::answer(std::vector<std::shared_ptr<Job>> batch) {
  std::shared_ptr<Loaded> by;
  try {
    by = loaded(batch[0]->record);
    if (by->error) std::rethrow_exception(by->error);
    const auto begin = Clock::now();
    std::vector<std::string> texts;
    std::vector<std::size_t> tokens;
    for (const auto& job : batch) {
      texts.push_back(job->text);
      tokens.push_back(by->classifier->tokens(texts.back()));
    }
    std::vector<Decision> decisions;
    {
      std::unique_lock turn(processor_.arbiter, std::defer_lock);
      if (!by->classifier->takes_turns()) turn.lock();
      decisions = by->classifier->decide(texts);
    }
    const auto end = Clock::now();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      batch[i]->computed = tokens[i];
      batch[i]->finish([&](Job& job) {
        job.result.decisions.push_back(std::move(decisions[i]));
        job.result.finish_reason = "stop";
        job.result.prompt_tokens = tokens[i];
        job.result.queue_seconds = seconds_between(job.asked, begin);
        job.result.prompt_seconds = seconds_between(begin, end);
      });
    }
  } catch (...) {
    if (batch.size() == 1 || !by || by->error)
      for (const auto& job : batch) job->fail(std::current_exception());
    else
      for (const auto& job : batch) answer({job});  // only what is wrong with one's own text
  }
  const std::scoped_lock lock(mutex_);
  if (by) by->used = false;
  if (by) by->last_used = Clock::now();
}

std::shared_ptr<TunedAnswers::Loaded> TunedAnswers::loaded(const TunedRecord& record) {
  const std::string key = record.directory.string() + "\n" + record.digest;
  auto made = std::make_shared<Loaded>();
  {
    const std::scoped_lock lock(mutex_);
    if (const auto found = loaded_.find(key); found != loaded_.end()) {
      const std::shared_ptr<Loaded> known = found->second;
      if (!known->error || Clock::now() - known->last_used < kFailureStands) {
        known->used = true;
        return known;
      }
      loaded_.erase(found);
    }
  }
  try {
    load(record, *made);
  } catch (...) {
    made->error = std::current_exception();
    made->classifier.reset();
    pool_.give_back(std::exchange(made->bytes, 0));
  }
  const std::scoped_lock lock(mutex_);
  loaded_.emplace(key, made);
  return made;
}

void TunedAnswers::load(const TunedRecord& record, Loaded& loaded) {
  std::shared_ptr<const ModelFile> file;
  std::shared_ptr<const model::Model> weights;
  reserve(record, loaded, record.size_bytes * kTableShare);
  if (!record.file.empty()) {
    file = open_model_file(record.file);
    reserve(record, loaded, memory_need(*file, {}).weights);
    // By threads of its own: those of the processor have one caller at a time.
    base::ThreadPool loaders(processor_.pool.threads());
    weights = load_for_tuning(*file, processor_.device, loaders, {});
    const std::uint64_t working =
        record.question_tokens > 0
            ? tune::LabelAnswers::bytes(weights->sizes(),
                                        record.most_tokens + record.question_tokens)
            : pass_bytes(weights->sizes(), record.most_tokens);
    reserve(record, loaded, working);
  }
  std::unique_lock turn(processor_.arbiter);
  loaded.classifier =
      std::make_unique<LoadedClassifier>(record.directory, file, weights, processor_);
  // It may have been tuned anew since the record was read, by which the request is audited.
  if (loaded.classifier->digest() != record.digest)
    throw Error(Fault::overloaded, fmt::format("{} was replaced just now: ask again", record.name),
                {.retry_after = std::chrono::seconds(1)});
  if (loaded.classifier->takes_turns()) turn.unlock();
  loaded.classifier->check(record.directory, options_.checked);
}

void TunedAnswers::reserve(const TunedRecord& record, Loaded& loaded, std::uint64_t bytes) {
  if (bytes > pool_.memory_bytes())
    throw Error(Fault::out_of_memory,
                fmt::format("{} needs {} MiB and all models together may take {} MiB", record.name,
                            bytes >> 20, pool_.memory_bytes() >> 20),
                {.retry_helps = false});
  if (!pool_.reserve(bytes))
    throw Error(Fault::overloaded,
                fmt::format("there is no room for {} ({} MiB) while others are in use", record.name,
                            (loaded.bytes + bytes) >> 20),
                {.retry_after = std::chrono::seconds(2)});
  loaded.bytes += bytes;
}

bool TunedAnswers::give_up(std::chrono::seconds idle) {
  std::shared_ptr<Loaded> going;
  {
    const std::scoped_lock lock(mutex_);
    auto oldest = loaded_.end();
    for (auto each = loaded_.begin(); each != loaded_.end(); ++each)
      if (!each->second->used && Clock::now() - each->second->last_used >= idle &&
          (oldest == loaded_.end() || each->second->last_used < oldest->second->last_used))
        oldest = each;
    if (oldest == loaded_.end()) return false;
    going = oldest->second;
    loaded_.erase(oldest);
  }
  going->classifier.reset();
  pool_.give_back(going->bytes);
  return true;
}

}  // namespace malina::platform
