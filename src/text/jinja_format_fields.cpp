#include <fmt/format.h>

#include <algorithm>

#include "text/jinja_format.h"
#include "text/jinja_operations.h"

namespace malina::text::jinja {
namespace {

class Fields {
 public:
  Fields(Runtime& runtime, const Text& format, const Arguments& arguments)
      : runtime_(runtime), format_(format), arguments_(arguments), out_(runtime) {}

  TextPointer run() {
    const auto bytes = format_.bytes();
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t brace = std::min(bytes.find_first_of("{}", at), bytes.size());
      out_.add(format_, at, brace);
      at = brace;
      if (at >= bytes.size()) break;
      if (at + 1 < bytes.size() && bytes[at + 1] == bytes[at]) {  // a brace that stands for itself
        out_.add(format_, at, at + 1);
        at += 2;
        continue;
      }
      if (bytes[at] == '}') runtime_.fail("a format has a '}' that closes nothing");
      const std::size_t close = bytes.find('}', at);
      if (close == std::string_view::npos) runtime_.fail("a format has a '{' that is not closed");
      field(bytes.substr(at + 1, close - at - 1));
      at = close + 1;
    }
    return out_.finish();
  }

 private:
  void field(std::string_view text) {
    std::string_view name = text.substr(0, text.find_first_of("!:"));
    const std::string_view rest = text.substr(name.size());
    if (name.find_first_of(".[{") != std::string_view::npos ||
        (!rest.empty() && rest != "!s" && rest != "!r" && rest != ":")) {
      runtime_.unsupported(fmt::format("the field '{{{}}}' of a format is not supported", text));
    }
    const Value& value = name.empty() ? by_place(automatic()) : named(name);
    if (rest == "!r") return append_representation(runtime_, out_, value);
    append_string(runtime_, out_, value);
  }

  std::size_t automatic() {
    if (numbered_) runtime_.fail("a format mixes fields with and without a number");
    counted_ = true;
    return next_++;
  }

  const Value& by_place(std::size_t index) const {
    if (index >= arguments_.positional.size()) runtime_.fail("a format has too few values");
    return arguments_.positional[index];
  }

  const Value& named(std::string_view name) {
    if (name.find_first_not_of("0123456789") == std::string_view::npos) {
      if (counted_) runtime_.fail("a format mixes fields with and without a number");
      numbered_ = true;
      if (name.size() > 9) runtime_.fail("a format has too few values");
      return by_place(std::stoul(std::string(name)));
    }
    for (const auto& [known, value] : arguments_.named) {
      if (known == name) return value;
    }
    runtime_.fail(fmt::format("a format names '{}', which is not there", name));
  }

  Runtime& runtime_;
  const Text& format_;
  const Arguments& arguments_;
  TextBuilder out_;
  std::size_t next_ = 0;
  bool counted_ = false, numbered_ = false;
};

}  // namespace

Value formatted_fields(Runtime& runtime, const TextPointer& format, const Arguments& arguments) {
  return Value::text(Fields(runtime, *format, arguments).run());
}

}  // namespace malina::text::jinja
