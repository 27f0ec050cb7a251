#include "text/jinja_runtime.h"

#include <fmt/format.h>

#include "text/jinja_lexer.h"
#include "text/jinja_value.h"

namespace malina::text::jinja {

Runtime::~Runtime() {
  // Everything kept is still alive while it is emptied, so that a long chain of objects is not
  // destroyed by recursion.
  for (const auto& object : kept_) object->clear();
}

void Runtime::step(std::size_t count) {
  steps_ += count;
  if (steps_ > budget_.steps) {
    fail(fmt::format("the template takes more than {} steps", budget_.steps));
  }
}

void Runtime::work(std::size_t bytes) {
  bytes_ += bytes;
  if (bytes_ < kStepBytes) return;
  step(bytes_ / kStepBytes);
  bytes_ %= kStepBytes;
}

void Runtime::check_length(std::size_t bytes) const {
  if (bytes > budget_.output_bytes) {
    fail(fmt::format("the template makes a text longer than {} bytes", budget_.output_bytes));
  }
}

void Runtime::check_depth(std::size_t depth) const {
  if (depth > budget_.depth) {
    fail(fmt::format("a value is nested deeper than {} levels", budget_.depth));
  }
}

void Runtime::fail(const std::string& message) const {
  refuse(base::Fault::invalid_argument, line, message);
}

void Runtime::unsupported(const std::string& message) const {
  refuse(base::Fault::unsupported, line, message);
}

void Runtime::keep(std::shared_ptr<Object> object) { kept_.push_back(std::move(object)); }

Runtime::Level::Level(Runtime& runtime) : runtime_(runtime) {
  if (runtime_.level_ >= runtime_.budget_.depth) {
    runtime_.fail(fmt::format("the template nests deeper than {} levels", runtime_.budget_.depth));
  }
  ++runtime_.level_;
}

}  // namespace malina::text::jinja
