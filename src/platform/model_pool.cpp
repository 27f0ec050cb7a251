#include "platform/model_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "platform/model_file.h"
#include "platform/pool_entry.h"
#include "platform/pool_room.h"

namespace malina::platform {

using base::Error;
using base::Fault;
using Clock = std::chrono::steady_clock;

namespace {

// All who waited for a model hear why it could not be loaded; who asks later makes it be tried
// again.
constexpr auto kFailureStands = std::chrono::seconds(2);
constexpr auto kLook = std::chrono::milliseconds(20);

std::string key_of(const ResolvedModel& model) {
  const auto digest = model.weights_digest();
  return digest ? digest->hex() : model.file.string();
}

// Of a file, or of all in a directory; 0 where they cannot be read, which loading will say.
std::uint64_t file_bytes(const std::filesystem::path& place) {
  std::error_code error;
  if (!std::filesystem::is_directory(place, error)) {
    const auto size = std::filesystem::file_size(place, error);
    return error ? 0 : size;
  }
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(place, error)) {
    const auto size = entry.is_regular_file(error) ? entry.file_size(error) : 0;
    if (!error) bytes += size;
  }
  return bytes;
}

}  // namespace

ModelPool::ModelPool(Processor& processor, const PoolOptions& options)
    : processor_(processor), options_(options), thread_([this] { work(); }) {}

ModelPool::~ModelPool() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
  for (const auto& adapter : adapters_to_load_) adapter->base.reset();  // each holds the other
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
    auto entry = std::make_shared<PoolEntry>();
    entry->label = model.adapter ? model.adapter->base.name : model.label;
    entry->resolved = model;
    if (model.adapter) entry->resolved.record = model.adapter->base;
    entry->keep_alive = options_.keep_alive;
    entries_.emplace(key, entry);
    to_load_.push_back(std::move(entry));
    changed_.notify_all();
    return std::nullopt;
  }
  const std::shared_ptr<PoolEntry>& entry = found->second;
  entry->asked_at = Clock::now();
  if (entry->state != ModelState::ready) return std::nullopt;  // one that drains is loaded anew
  std::shared_ptr<PooledAdapter> adapter;
  if (model.adapter) {
    adapter = adapter_of(entry, model);
    if (!adapter) return std::nullopt;
    ++adapter->users;
  }
  ++entry->users;
  entry->leased = true;
  entry->last_used = Clock::now();
  // The lease holds the entry; its end tells the pool.
  std::shared_ptr<LanguageModel> held(
      adapter ? adapter->model.get() : entry->model.get(),
      [this, entry, adapter](LanguageModel*) { release(*entry, adapter.get()); });
  return Lease{model.label, model.record ? model.record->digest : base::Digest(), std::move(held),
               key};
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

// A failure stands for two seconds, as a model's does.
std::shared_ptr<PooledAdapter> ModelPool::adapter_of(const std::shared_ptr<PoolEntry>& entry,
                                                     const ResolvedModel& model) {
  const std::string digest = model.record->digest.hex();
  auto found = entry->adapters.find(digest);
  if (found != entry->adapters.end() && found->second->error) {
    if (Clock::now() - found->second->last_used < kFailureStands)
      std::rethrow_exception(found->second->error);
    entry->adapters.erase(found);
    found = entry->adapters.end();
  }
  if (found == entry->adapters.end()) {
    auto adapter = std::make_shared<PooledAdapter>();
    adapter->label = model.label;
    adapter->place = model.adapter->place;
    adapter->base = entry;
    ++entry->users;
    entry->adapters.emplace(digest, adapter);
    adapters_to_load_.push_back(std::move(adapter));
    changed_.notify_all();
    return nullptr;
  }
  found->second->last_used = Clock::now();
  return found->second->model ? found->second : nullptr;
}

void ModelPool::release(PoolEntry& entry, PooledAdapter* adapter) {
  const std::scoped_lock lock(mutex_);
  --entry.users;
  if (adapter != nullptr) {
    --adapter->users;
    adapter->last_used = Clock::now();
  }
  entry.last_used = Clock::now();
  changed_.notify_all();
}

void ModelPool::keep(const Lease& lease, std::chrono::seconds time) {
  const std::scoped_lock lock(mutex_);
  const auto found = entries_.find(lease.weights);
  if (found != entries_.end()) found->second->keep_alive = time;
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
    for (const auto& [digest, adapter] : entry->adapters) model.memory_bytes += adapter->bytes;
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

bool ModelPool::reserve(std::uint64_t bytes) {
  std::unique_lock lock(mutex_);
  // Nobody gives way in vain, however often it is asked for.
  if (bytes_in_use(entries_) + bytes > options_.memory_bytes) return false;
  if (!make_room(bytes, lock)) return false;
  reserved_bytes_ += bytes;
  return true;
}

void ModelPool::give_back(std::uint64_t bytes) {
  const std::scoped_lock lock(mutex_);
  reserved_bytes_ -= bytes;
  changed_.notify_all();
}

void ModelPool::set_reclaim(std::function<bool()> reclaim) {
  const std::scoped_lock lock(reclaiming_);
  reclaim_ = std::move(reclaim);
}

bool ModelPool::reclaim(std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  bool any = false;
  {
    const std::scoped_lock reclaiming(reclaiming_);
    any = reclaim_ && reclaim_();
  }
  lock.lock();
  return any;
}

std::uint64_t ModelPool::used_locked() const { return reserved_bytes_ + used_bytes(entries_); }

void ModelPool::work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (give_up_idle(lock) || load_next_adapter(lock)) continue;
    if (to_load_.empty()) {
      changed_.wait_for(lock, std::chrono::seconds(1));
      continue;
    }
    const std::shared_ptr<PoolEntry> entry = to_load_.front();
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
    if (Clock::now() - entry->asked_at > kPoolPatience) {
      std::erase_if(entries_, [&](const auto& each) { return each.second == entry; });
    } else {
      to_load_.push_back(entry);
      changed_.wait_for(lock, kLook);
    }
  }
}

// An adapter takes milliseconds where a model takes seconds, so it goes first. True where one was
// waiting.
bool ModelPool::load_next_adapter(std::unique_lock<std::mutex>& lock) {
  if (adapters_to_load_.empty()) return false;
  const std::shared_ptr<PooledAdapter> adapter = adapters_to_load_.front();
  adapters_to_load_.pop_front();
  std::unique_ptr<LanguageModel> model;
  std::exception_ptr error;
  std::uint64_t bytes = 0;
  try {
    // Before it is read; what is kept of it is seldom more than its file.
    make_room_for(*adapter, file_bytes(adapter->place));
    lock.unlock();
    const LanguageModel& base = *adapter->base->model;
    LoadedAdapter loaded = base.load_adapter(adapter->place);
    bytes = LanguageModel::bytes_of(loaded);
    model = std::make_unique<LanguageModel>(base, std::move(loaded));
  } catch (...) {
    error = std::current_exception();
  }
  if (!lock.owns_lock()) lock.lock();
  try {
    if (!error) make_room_for(*adapter, bytes);
  } catch (...) {
    error = std::current_exception();
  }
  if (error)
    adapter->bytes = 0;
  else
    adapter->model = std::move(model);
  adapter->error = error;
  adapter->last_used = Clock::now();
  --std::exchange(adapter->base, nullptr)->users;
  tell_waiting_locked();
  return true;
}

// Instead of what it had. Throws overloaded where others leave it none.
void ModelPool::make_room_for(PooledAdapter& adapter, std::uint64_t bytes) {
  adapter.bytes = 0;
  while (used_locked() + bytes > options_.memory_bytes &&
         give_up_adapter(std::chrono::seconds(0))) {
  }
  if (used_locked() + bytes > options_.memory_bytes)
    throw Error(Fault::overloaded,
                fmt::format("there is no room for the adapter {} ({} MiB) while others are in use",
                            adapter.label, bytes >> 20),
                {.retry_after = std::chrono::seconds(2)});
  adapter.bytes = bytes;
}

bool ModelPool::give_up_adapter(std::chrono::seconds idle) {
  const auto going = adapter_to_give_up(entries_, Clock::now(), idle);
  if (going) going->entry->adapters.erase(going->digest);
  return going.has_value();
}

// Frees what has stood unused for too long, and what drains and has no users. True where one went.
bool ModelPool::give_up_idle(std::unique_lock<std::mutex>& lock) {
  const auto now = Clock::now();
  if (options_.keep_alive.count() >= 0 && give_up_adapter(options_.keep_alive)) return true;
  for (auto each = entries_.begin(); each != entries_.end(); ++each) {
    if (!is_to_go(*each->second, now)) continue;
    const std::shared_ptr<PoolEntry> going = each->second;
    going->move_to(ModelState::gone);
    entries_.erase(each);
    lock.unlock();  // giving back gigabytes takes a while
    going->adapters.clear();
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
    if (give_up_idle(lock) || reclaim(lock) || give_up_adapter(std::chrono::seconds(0))) continue;
    const std::shared_ptr<PoolEntry> oldest = model_to_give_up(entries_, Clock::now());
    if (!oldest) return false;
    oldest->move_to(ModelState::draining);
  }
  return true;
}

bool ModelPool::load(const std::shared_ptr<PoolEntry>& entry) {
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
    // Who stands idle makes room for it; who is in use stays.
    const std::uint64_t wanted = wanted_cache(need, run.parallel, options_.memory_bytes);
    static_cast<void>(make_room(fixed + std::max(wanted, need.least_cache), lock));
    run.cache_bytes = granted_cache(need, wanted, options_.memory_bytes - used_locked() - fixed);
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
