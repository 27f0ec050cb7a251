// What one rendering has used up of its budget, and where it stands.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "text/chat_template_budget.h"

namespace malina::text::jinja {

struct Object;

// One rendering, one thread.
class Runtime {
 public:
  Runtime(const TemplateBudget& budget, std::chrono::system_clock::time_point now)
      : budget_(budget), now_(now) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  ~Runtime();

  // Work done, in steps; and memory made or looked through, of which kStepBytes are one step. Both
  // throw when the budget is spent.
  void step(std::size_t count = 1);
  void work(std::size_t bytes);
  void check_length(std::size_t bytes) const;  // of a text
  void check_depth(std::size_t depth) const;   // of a value

  // Throw base::Error (invalid_argument, unsupported) with the line that runs.
  [[noreturn]] void fail(const std::string& message) const;
  [[noreturn]] void unsupported(const std::string& message) const;

  // Objects that can hold themselves are handed over here: they are emptied when the rendering
  // ends.
  void keep(std::shared_ptr<Object> object);

  std::chrono::system_clock::time_point now() const { return now_; }

  int line = 1;

  class Level {  // one level of nesting, while it lives
   public:
    explicit Level(Runtime& runtime);
    ~Level() { --runtime_.level_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Runtime& runtime_;
  };

 private:
  static constexpr std::size_t kStepBytes = 256;

  const TemplateBudget budget_;
  const std::chrono::system_clock::time_point now_;
  std::size_t steps_ = 0;
  std::size_t bytes_ = 0;  // not yet a step
  std::size_t level_ = 0;
  std::vector<std::shared_ptr<Object>> kept_;
};

}  // namespace malina::text::jinja
