#include "platform/model_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "platform/model_file.h"

namespace malina::platform {

using base::Error;
using base::Fault;
using Clock = std::chrono::steady_clock;

namespace {

// All who waited for a model hear why it could not be loaded; who asks later makes it be tried
// again.
constexpr auto kFailureStands = std::chrono::seconds(2);
// Who waits for a model asks again within a second.
constexpr auto kPatience = std::chrono::seconds(2);
constexpr auto kLook = std::chrono::milliseconds(20);

std::string key_of(const ResolvedModel& model) {
  return model.record ? model.record->digest.hex() : model.file.string();
}

}  // namespace

struct ModelPool::Entry {
  std::string label;
  ResolvedModel resolved;
  ModelState state = ModelState::loading;
  std::shared_ptr<const ModelFile>
      file;  // while it is loaded; a wait for room does not read it anew
  MemoryNeed need;
  std::unique_ptr<LanguageModel> model;  // ready and draining
  std::exception_ptr error;              // gone, where it could not be loaded
  std::uint64_t reserved_bytes = 0;
  std::size_t users = 0;
  bool leased = false;  // ever
  std::chrono::seconds keep_alive{};
  Clock::time_point last_used{};
  Clock::time_point asked_at = Clock::now();  // by someone who waits for it

  void move_to(ModelState next) {
    const bool allowed = (state == ModelState::loading && next != ModelState::draining) ||
                         (state == ModelState::ready && next != ModelState::loading) ||
                         (state == ModelState::draining && next == ModelState::gone);
    if (!allowed)
      throw Error(Fault::internal,
                  fmt::format("a model cannot go from {} to {}", name(state), name(next)));
    state = next;
  }
  base::Digest digest() const { return resolved.record ? resolved.record->digest : base::Digest(); }
};

std::string_view name(ModelState state) {
  switch (state) {
    case ModelState::loading:
      return "loading";
    case ModelState::ready:
      return "ready";
    case ModelState::draining:
      return "draining";
    case ModelState::gone:
      return "gone";
  }
  return "gone";
}

ModelPool::ModelPool(Processor& processor, const PoolOptions& options)
    : processor_(processor), options_(options), thread_([this] { work(); }) {}

ModelPool::~ModelPool() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::optional<ModelPool::Lease> ModelPool::acquire(const ResolvedModel& model) {
  const Key key = key_of(model);
  const std::scoped_lock lock(mutex_);
  auto found = entries_.find(key);
  if (found != entries_.end() && found->second->state == ModelState::gone) {
    if (Clock::now() - found->second->last_used < kFailureStands)
      std::rethrow_exception(found->second->error);
    entries_.erase(found);
    found = entries_.end();
  }
  if (found == entries_.end()) {
    auto entry = std::make_shared<Entry>();
    entry->label = model.label;
    entry->resolved = model;
    entry->keep_alive = options_.keep_alive;
    entries_.emplace(key, entry);
    to_load_.push_back(std::move(entry));
    changed_.notify_all();
    return std::nullopt;
  }
  const std::shared_ptr<Entry>& entry = found->second;
  entry->asked_at = Clock::now();
  if (entry->state != ModelState::ready) return std::nullopt;  // one that drains is loaded anew
  ++entry->users;
  entry->leased = true;
  entry->last_used = Clock::now();
  // The lease holds the entry; its end tells the pool.
  std::shared_ptr<LanguageModel> held(entry->model.get(),
                                      [this, entry](LanguageModel*) { release(*entry); });
  return Lease{model.label, entry->digest(), std::move(held)};
}

ModelPool::Waiting::Waiting(ModelPool& pool, std::function<void()> changed)
    : pool_(pool), changed_(std::move(changed)) {
  const std::scoped_lock lock(pool_.mutex_);
  const std::size_t most = pool_.options_.run.most_waiting;
  if (most != 0 && pool_.waiting_.size() >= most)
    throw Error(
        Fault::overloaded,
        fmt::format("{} requests wait already for models that are loading", pool_.waiting_.size()),
        {.retry_after = std::chrono::seconds(5)});
  pool_.waiting_.push_back(this);
}

ModelPool::Waiting::~Waiting() {
  const std::scoped_lock lock(pool_.mutex_);
  pool_.waiting_.remove(this);
}

std::unique_ptr<ModelPool::Waiting> ModelPool::wait(std::function<void()> changed) {
  return std::make_unique<Waiting>(*this, std::move(changed));
}

void ModelPool::tell_waiting_locked() {
  for (const Waiting* each : waiting_) each->changed_();
}

void ModelPool::release(Entry& entry) {
  const std::scoped_lock lock(mutex_);
  --entry.users;
  entry.last_used = Clock::now();
  changed_.notify_all();
}

void ModelPool::keep(const Lease& lease, std::chrono::seconds time) {
  const std::scoped_lock lock(mutex_);
  for (auto& [key, entry] : entries_)
    if (entry->model.get() == lease.model.get()) entry->keep_alive = time;
}

std::vector<PooledModel> ModelPool::models() {
  const std::scoped_lock lock(mutex_);
  const auto now = Clock::now();
  std::vector<PooledModel> result;
  for (const auto& [key, entry] : entries_) {
    if (entry->state == ModelState::gone) continue;
    PooledModel& model = result.emplace_back();
    model.label = entry->label;
    model.digest = entry->digest();
    model.state = entry->state;
    model.memory_bytes = entry->reserved_bytes;
    model.users = entry->users;
    if (entry->model) {
      model.context = entry->model->context();
      model.load = entry->model->load();
    }
    if (entry->state == ModelState::ready && entry->users == 0 && entry->keep_alive.count() >= 0)
      model.expires_in = std::max(
          std::chrono::seconds(0),
          std::chrono::ceil<std::chrono::seconds>(entry->last_used + entry->keep_alive - now));
  }
  return result;
}

std::uint64_t ModelPool::used_locked() const {
  std::uint64_t bytes = 0;
  for (const auto& [key, entry] : entries_) bytes += entry->reserved_bytes;
  return bytes;
}

void ModelPool::work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (give_up_idle(lock)) continue;
    if (to_load_.empty()) {
      changed_.wait_for(lock, std::chrono::seconds(1));
      continue;
    }
    const std::shared_ptr<Entry> entry = to_load_.front();
    lock.unlock();
    bool loaded = true;
    try {
      loaded = load(entry);
      lock.lock();
    } catch (...) {
      lock.lock();
      entry->error = std::current_exception();
      entry->reserved_bytes = 0;
      entry->last_used = Clock::now();
      entry->move_to(ModelState::gone);
      tell_waiting_locked();
    }
    std::erase(to_load_, entry);
    if (loaded) continue;
    // Those in use leave it no room: others may fit, and it may be wanted no more.
    if (Clock::now() - entry->asked_at > kPatience) {
      std::erase_if(entries_, [&](const auto& each) { return each.second == entry; });
    } else {
      to_load_.push_back(entry);
      changed_.wait_for(lock, kLook);
    }
  }
}

// Frees what has stood unused for too long, and what drains and has no users. True where one went.
bool ModelPool::give_up_idle(std::unique_lock<std::mutex>& lock) {
  const auto now = Clock::now();
  for (auto each = entries_.begin(); each != entries_.end(); ++each) {
    Entry& entry = *each->second;
    if (entry.users > 0) continue;
    const bool old = entry.state == ModelState::ready && entry.keep_alive.count() >= 0 &&
                     now - entry.last_used >= entry.keep_alive;
    if (!old && entry.state != ModelState::draining) continue;
    const std::shared_ptr<Entry> going = each->second;
    going->move_to(ModelState::gone);
    entries_.erase(each);
    lock.unlock();  // giving back gigabytes takes a while
    going->model.reset();
    lock.lock();
    return true;
  }
  return false;
}

// Gives up unused models, the longest unused first, until so many bytes are free. False where those
// that are in use leave too little.
bool ModelPool::make_room(std::uint64_t bytes, std::unique_lock<std::mutex>& lock) {
  while (used_locked() + bytes > options_.memory_bytes) {
    if (give_up_idle(lock)) continue;
    const auto now = Clock::now();
    std::shared_ptr<Entry> oldest;
    for (const auto& [key, entry] : entries_)
      if (entry->state == ModelState::ready && entry->users == 0 &&
          (entry->leased || now - entry->last_used > kPatience) &&  // else who waited comes now
          (!oldest || entry->last_used < oldest->last_used))
        oldest = entry;
    if (!oldest) return false;
    oldest->move_to(ModelState::draining);
  }
  return true;
}

bool ModelPool::load(const std::shared_ptr<Entry>& entry) {
  RunOptions run = options_.run;
  if (!entry->file) {  // the loader's thread alone looks at these
    const auto file = open_model_file(entry->resolved.file);
    entry->need = memory_need(*file, run);
    entry->file = file;
  }
  const MemoryNeed& need = entry->need;
  const std::uint64_t fixed = need.weights + need.activations;
  const std::uint64_t least = fixed + need.least_cache;
  if (least > options_.memory_bytes)
    throw Error(
        Fault::out_of_memory,
        fmt::format("{} needs {} MiB ({} MiB of weights) and all models together may take {} "
                    "MiB (--memory without --max-bodies)",
                    entry->label, least >> 20, need.weights >> 20, options_.memory_bytes >> 20),
        {.retry_helps = false});
  {
    std::unique_lock lock(mutex_);
    if (!make_room(least, lock)) return false;
    // Half of what is left is for models to come.
    const std::uint64_t left = options_.memory_bytes - used_locked() - fixed;
    run.cache_bytes =
        std::clamp(need.cache, need.least_cache, std::max(left / 2, need.least_cache));
    entry->reserved_bytes = fixed + run.cache_bytes;
  }
  auto model =
      std::make_unique<LanguageModel>(std::exchange(entry->file, nullptr), processor_, run);
  const std::scoped_lock lock(mutex_);
  entry->model = std::move(model);
  entry->last_used = Clock::now();
  entry->move_to(ModelState::ready);
  tell_waiting_locked();
  return true;
}

}  // namespace malina::platform
