// The functions that a template finds: those of Jinja2 and those that Transformers adds.
#include <fmt/format.h>

#include <array>
#include <ctime>
#include <limits>

#include "text/jinja_filters.h"
#include "text/jinja_operations.h"

namespace malina::text::jinja {
namespace {

constexpr Integer kLargestRange = 100'000;  // MAX_RANGE of jinja2/sandbox.py

Value range(Runtime& runtime, const Arguments& arguments) {
  const auto& given = arguments.positional;
  if (!arguments.named.empty() || given.empty() || given.size() > 3) {
    runtime.fail("range() takes one to three numbers");
  }
  auto result = std::make_shared<Range>();
  if (given.size() == 1) {
    result->stop = index_of(runtime, given[0], "the end of a range");
  } else {
    result->start = index_of(runtime, given[0], "the start of a range");
    result->stop = index_of(runtime, given[1], "the end of a range");
    if (given.size() == 3) result->step = index_of(runtime, given[2], "the step of a range");
  }
  constexpr Integer kFar = std::numeric_limits<std::int64_t>::max();
  for (const Integer bound : {result->start, result->stop, result->step}) {
    if (bound > kFar || bound < -kFar) runtime.fail("a bound of a range is too large");
  }
  if (result->step == 0) runtime.fail("the step of a range cannot be zero");
  if (result->size() > kLargestRange) {
    runtime.fail(fmt::format("a range has more than {} items", integer_to_string(kLargestRange)));
  }
  return Value::object(Type::range, std::move(result));
}

// dict(mapping or pairs, **named)
void fill(Runtime& runtime, Dict& dict, const Arguments& arguments, std::string_view function) {
  if (arguments.positional.size() > 1) {
    runtime.fail(fmt::format("{}() takes one argument without a name at most", function));
  }
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is(Type::undefined)) runtime.fail(source.as<Undefined>().message);
    if (source.is(Type::dict)) {
      for (const auto& [key, value] : source.as<Dict>().items) dict.set(runtime, key, value);
    } else {
      for (const auto& item : list_of(runtime, source)) {
        Values pair = list_of(runtime, item);
        if (pair.size() != 2) runtime.fail(fmt::format("{}() needs pairs", function));
        dict.set(runtime, std::move(pair[0]), std::move(pair[1]));
      }
    }
  }
  for (const auto& [name, value] : arguments.named) dict.set(runtime, Value::text(name), value);
}

Value make_dict(Runtime& runtime, const Arguments& arguments) {
  auto dict = std::make_shared<Dict>();
  fill(runtime, *dict, arguments, "dict");
  const bool trusted = arguments.positional.empty() || arguments.positional[0].trusted();
  return Value::object(Type::dict, std::move(dict), trusted);
}

Value make_namespace(Runtime& runtime, const Arguments& arguments) {
  auto space = std::make_shared<NameSpace>();
  runtime.keep(space);
  runtime.work(sizeof(NameSpace));
  fill(runtime, space->attributes, arguments, "namespace");
  for (const auto& [key, value] : space->attributes.items) {
    if (key.is(Type::text) && key.text()->bytes().starts_with("_")) {
      runtime.fail("an attribute of a namespace cannot begin with '_'");
    }
  }
  return Value::object(Type::name_space, std::move(space));
}

Value raise_exception(Runtime& runtime, const Arguments& arguments) {
  const Parameters given(runtime, "raise_exception", arguments, {"message"}, 1);
  runtime.fail(std::string(to_text(runtime, given[0])->bytes()));
}

// Python's datetime.now().strftime: local time without a zone, in the C locale.
Value strftime_now(Runtime& runtime, const Arguments& arguments) {
  const Parameters given(runtime, "strftime_now", arguments, {"format"}, 1);
  const auto& text = plain_text(runtime, given[0], "strftime_now()");
  const std::time_t seconds = std::chrono::system_clock::to_time_t(runtime.now());
  std::tm local = {};
  if (localtime_r(&seconds, &local) == nullptr) runtime.fail("the time is out of range");
  const auto micro = std::chrono::duration_cast<std::chrono::microseconds>(
                         runtime.now() - std::chrono::floor<std::chrono::seconds>(runtime.now()))
                         .count();
  return Value::text(format_time(runtime, *text, local, micro));
}

struct Entry {
  std::string_view name;
  GlobalFunction function;
};
constexpr std::array<Entry, 5> kFunctions = {{{"dict", make_dict},
                                              {"namespace", make_namespace},
                                              {"raise_exception", raise_exception},
                                              {"range", range},
                                              {"strftime_now", strftime_now}}};

}  // namespace

GlobalFunction find_global(std::string_view name) {
  for (const auto& entry : kFunctions) {
    if (entry.name == name) return entry.function;
  }
  return nullptr;
}

bool is_unsupported_global(std::string_view name) {
  return name == "cycler" || name == "joiner" || name == "lipsum" || name == "self";
}

}  // namespace malina::text::jinja
