// The models in memory: loaded on first use, shared, and given up when others need the room.
// Adapters are loaded beside their base, on first use too, and go before any model does.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "platform/language_model.h"
#include "platform/model_store.h"
#include "platform/processor.h"

namespace malina::platform {

// loading -> ready -> draining -> gone; loading -> gone where it fails.
enum class ModelState { loading, ready, draining, gone };
std::string_view name(ModelState state);

struct PoolOptions {
  std::uint64_t memory_bytes = 0;        // of all models: weights, keys and values, activations
  RunOptions run;                        // of each; cache_bytes is chosen by the pool
  std::chrono::seconds keep_alive{300};  // an unused model stays so long; negative: for ever
};

struct PooledModel {
  std::string label;  // as it was first asked for
  base::Digest digest;
  ModelState state = ModelState::loading;
  std::uint64_t memory_bytes = 0;
  std::size_t context = 0;
  std::size_t users = 0;
  ModelLoad load;
  std::optional<std::chrono::seconds> expires_in;  // of an unused one that will be given up
};

struct PoolEntry;
struct PooledAdapter;

// Safe on many threads. A thread of its own loads and gives up.
class ModelPool {
 public:
  // A model in use, under its adapter where it has one: both stay in memory until the last of
  // their leases ends.
  struct Lease {
    std::string label;  // the name that was asked for
    base::Digest digest;
    std::shared_ptr<LanguageModel> model;
    std::string weights = {};  // which entry of the pool it is
  };

  // The processor must outlive it.
  ModelPool(Processor& processor, const PoolOptions& options);
  ~ModelPool();  // every lease has ended

  // Begins to load where that is needed, and does not wait for it: nullopt while it is loading.
  // Throws what resolving threw, and for two seconds what loading threw: not_found, out_of_memory
  // (it can never fit), corrupt_file, unsupported.
  std::optional<Lease> acquire(const ResolvedModel& model);
  // Held by who waits for a model: `changed` is called, by the pool's thread, whenever one becomes
  // ready or cannot be loaded. It must neither block nor call the pool; once this is gone it is not
  // running any more. The pool outlives it.
  class Waiting {
   public:
    Waiting(ModelPool& pool, std::function<void()> changed);
    ~Waiting();
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

   private:
    friend class ModelPool;
    ModelPool& pool_;
    const std::function<void()> changed_;
  };
  // Before acquire() is asked again. Throws overloaded where RunOptions::most_waiting wait already.
  std::unique_ptr<Waiting> wait(std::function<void()> changed);
  // How long it stays unused, instead of PoolOptions::keep_alive; zero: it goes with its last user.
  void keep(const Lease& lease, std::chrono::seconds time);

  // Room for what is none of the pool's models, of the same memory: idle ones give way. False where
  // those in use leave too little.
  bool reserve(std::uint64_t bytes);
  void give_back(std::uint64_t bytes);
  // Called when models need room, before any of them gives way: gives back what it has of reserve()
  // and does not need, and returns whether there was something. Any thread; an empty one takes the
  // last one away, which then is not running any more.
  void set_reclaim(std::function<bool()> reclaim);

  std::vector<PooledModel> models();
  std::uint64_t memory_bytes() const { return options_.memory_bytes; }

 private:
  using Key = std::string;  // the digest, or the path of a file that is not in the store

  void work();
  bool load(const std::shared_ptr<PoolEntry>& entry);  // false: there is no room now
  // Of a ready entry; null while the adapter is loading. Throws why it could not be loaded.
  std::shared_ptr<PooledAdapter> adapter_of(const std::shared_ptr<PoolEntry>& entry,
                                            const ResolvedModel& model);
  bool load_next_adapter(std::unique_lock<std::mutex>& lock);
  void make_room_for(PooledAdapter& adapter, std::uint64_t bytes);
  // Drops unused adapters: of those unused for `idle` or longer the longest unused. False: none.
  bool give_up_adapter(std::chrono::seconds idle);
  bool make_room(std::uint64_t bytes, std::unique_lock<std::mutex>& lock);
  bool give_up_idle(std::unique_lock<std::mutex>& lock);
  std::uint64_t used_locked() const;
  void release(PoolEntry& entry, PooledAdapter* adapter);
  bool reclaim(std::unique_lock<std::mutex>& lock);
  void tell_waiting_locked();

  Processor& processor_;
  const PoolOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Key, std::shared_ptr<PoolEntry>> entries_;
  std::list<std::shared_ptr<PoolEntry>> to_load_;
  std::list<std::shared_ptr<PooledAdapter>> adapters_to_load_;
  std::list<const Waiting*> waiting_;
  std::uint64_t reserved_bytes_ = 0;
  std::mutex reclaiming_;  // before mutex_
  std::function<bool()> reclaim_;
  bool stopping_ = false;
  std::thread thread_;  // last
};

}  // namespace malina::platform
