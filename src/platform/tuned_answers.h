// Tuned classifiers and taggers as a server uses them: loaded on first use, given up when idle or
// when models need the room, and asked by many at once.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "platform/answer.h"
#include "platform/model_pool.h"
#include "platform/processor.h"

namespace malina::platform {

class LoadedClassifier;
struct ModelFile;

// One as it stands on the disk.
struct TunedRecord {
  std::string name;
  std::filesystem::path directory;
  std::string kind;    // "classifier" or "tagger"
  std::string digest;  // "sha256:...", of its manifest, which names all that it was made from
  std::string base;    // what its base was called; "" where it needs none
  std::filesystem::path file;    // of its base in the store; empty where it needs none
  std::string base_digest;       // "sha256:..."; "" where it needs none
  std::uint64_t size_bytes = 0;  // of its files
  std::int64_t created = 0;      // seconds since 1970-01-01 UTC
  std::size_t most_tokens = 0;   // that it reads of a text; 0 where it needs no base
  // Where it scores labels: at most so many stand before a text and in a label.
  std::size_t question_tokens = 0;
};

// Without `file`. Throws what reading its manifest throws.
TunedRecord tuned_record(const std::filesystem::path& directory, std::string name);

// Safe on many threads. One thread of its own loads and computes, so that no other waits for it: a
// few texts at a time of one classifier, in the order in which they came, and between them whoever
// else wants the processor.
class TunedAnswers {
 public:
  struct Options {
    std::chrono::seconds keep_alive{300};  // negative: for ever
    std::size_t most_waiting = 0;          // texts; 0: any number
    std::filesystem::path checked;         // see classifier_certificate.h
  };

  // Both must outlive it. What is loaded takes its memory from the pool's, which may take back what
  // is unused.
  TunedAnswers(Processor& processor, ModelPool& pool, Options options);
  ~TunedAnswers();  // what is still asked ends as cancelled

  // Its answer to its own question, in result().decisions. Returns at once. Throws overloaded where
  // most_waiting others wait; the answer's poll() throws what loading threw.
  std::unique_ptr<Answer> ask(const TunedRecord& record, std::string text,
                              std::chrono::steady_clock::time_point deadline);

 private:
  struct Job;
  struct Loaded;
  class TunedAnswer;

  void work();
  std::vector<std::shared_ptr<Job>> next_batch();
  std::shared_ptr<Loaded> loaded(const TunedRecord& record);
  void load(const TunedRecord& record, Loaded& loaded);
  void reserve(const TunedRecord& record, Loaded& loaded, std::uint64_t bytes);
  void answer(std::vector<std::shared_ptr<Job>> batch);
  // Drops one that is unused for so long; false: there is none.
  bool give_up(std::chrono::seconds idle);

  Processor& processor_;
  ModelPool& pool_;
  const Options options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Job>> jobs_;
  std::map<std::string, std::shared_ptr<Loaded>> loaded_;  // by directory and digest
  bool stopping_ = false;
  std::thread thread_;  // last
};

}  // namespace malina::platform
