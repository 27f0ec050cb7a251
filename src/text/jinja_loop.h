// The variable `loop`: jinja2's LoopContext.
#pragma once

#include <string_view>

#include "text/jinja_value.h"

namespace malina::text::jinja {

struct LoopState : Object {
  LoopState(Value through, std::shared_ptr<Iterator> from);

  bool next(Runtime& runtime);  // to the next item, which is then `current`
  std::size_t length(Runtime& runtime);
  // loop.name; nothing where there is no such attribute.
  std::optional<Value> attribute(Runtime& runtime, const Value& self, std::string_view name);
  void clear() override;

  Value current, before;

 private:
  bool peek(Runtime& runtime);

  Value iterable_;  // what is gone through, for its length
  std::shared_ptr<Iterator> iterator_;
  Value after_;            // taken from the iterator already, or missing
  std::size_t index_ = 0;  // from 1
  std::optional<std::size_t> length_;
};

}  // namespace malina::text::jinja
