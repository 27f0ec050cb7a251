#include "text/jinja_loop.h"

#include <algorithm>

#include "text/jinja_operations.h"

namespace malina::text::jinja {
namespace {

struct Remaining : Iterator {  // what an iterator still had when its length was asked for
  Values items;
  std::size_t index = 0;
  bool next(Runtime&, Value& item) override {
    if (index >= items.size()) return false;
    item = items[index++];
    return true;
  }
};

Value cycle(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!arguments.named.empty()) runtime.fail("cycle() takes no named arguments");
  if (arguments.positional.empty()) runtime.fail("cycle() has nothing to choose from");
  auto& loop = self.as<LoopState>();
  const auto index = loop.attribute(runtime, self, "index0");
  const auto count = static_cast<Integer>(arguments.positional.size());
  return arguments.positional[static_cast<std::size_t>(index->integer() % count)];
}

}  // namespace

LoopState::LoopState(Value through, std::shared_ptr<Iterator> from)
    : iterable_(std::move(through)), iterator_(std::move(from)) {
  depth = std::max(iterable_.depth(), iterator_->depth) + 1;
}

bool LoopState::next(Runtime& runtime) {
  if (!peek(runtime)) return false;
  before = std::move(current);
  current = std::move(after_);
  after_ = Value();
  ++index_;
  return true;
}

bool LoopState::peek(Runtime& runtime) {
  return !after_.is(Type::missing) || iterator_->next(runtime, after_);
}

std::size_t LoopState::length(Runtime& runtime) {
  if (!length_) length_ = length_of(iterable_);
  if (!length_) {
    auto rest = std::make_shared<Remaining>();
    rest->items = list_of(runtime, Value::object(Type::iterator, iterator_));
    length_ = rest->items.size() + index_ + (after_.is(Type::missing) ? 0 : 1);
    iterator_ = std::move(rest);
  }
  return *length_;
}

std::optional<Value> LoopState::attribute(Runtime& runtime, const Value& self,
                                          std::string_view name) {
  const auto number = [](std::size_t value) { return Value::integer(static_cast<Integer>(value)); };
  if (name == "index") return number(index_);
  if (name == "index0") return number(index_ - 1);
  if (name == "first") return Value::boolean(index_ == 1);
  if (name == "last") return Value::boolean(!peek(runtime));
  if (name == "length") return number(length(runtime));
  if (name == "revindex") return number(length(runtime) - index_ + 1);
  if (name == "revindex0") return number(length(runtime) - index_);
  if (name == "depth") return number(1);
  if (name == "depth0") return number(0);
  if (name == "previtem") {
    return index_ == 1 ? Value::undefined("there is no previous item") : before;
  }
  if (name == "nextitem") {
    return peek(runtime) ? after_ : Value::undefined("there is no next item");
  }
  if (name == "cycle") {
    auto method = std::make_shared<Method>();
    method->receiver = self;
    method->function = cycle;
    method->depth = self.depth() + 1;
    return Value::object(Type::method, std::move(method));
  }
  if (name == "changed") runtime.unsupported("loop.changed() is not supported");
  return std::nullopt;
}

void LoopState::clear() {
  current = before = after_ = iterable_ = Value();
  iterator_.reset();
  length_.reset();
}

}  // namespace malina::text::jinja
