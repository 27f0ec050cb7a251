#include "format/json_reader.h"

#include <fmt/format.h>

#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "format/quote.h"

namespace malina::format {

namespace {

using base::Error;
using base::Fault;
using nlohmann::json;

// Builds the document from the parser's events. A false answer ends the parsing, and fault_ and
// cause_ say why.
class Builder final : public json::json_sax_t {
 public:
  explicit Builder(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return take(nullptr); }
  bool boolean(bool value) override { return take(value); }
  bool number_integer(number_integer_t value) override { return take(value); }
  bool number_unsigned(number_unsigned_t value) override { return take(value); }
  bool number_float(number_float_t value, const string_t&) override { return take(value); }
  bool string(string_t& value) override { return take(std::move(value)); }
  bool binary(binary_t&) override { return refuse(Fault::unsupported, "it holds binary data"); }
  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& value) override {
    auto& object = stack_.back()->get_ref<json::object_t&>();
    const auto [place, added] = object.emplace(value, nullptr);
    if (!added)
      return refuse(Fault::corrupt_file,
                    fmt::format("key {} stands twice in one object", in_quotes(value)));
    member_ = &place->second;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    return refuse(Fault::corrupt_file, fmt::format("it is not valid JSON, at byte {}", position));
  }

  json take_document() { return std::move(document_); }
  Error error(const std::string& name) const { return Error(fault_, name + ": " + cause_); }

 private:
  bool refuse(Fault fault, std::string cause) {
    fault_ = fault;
    cause_ = std::move(cause);
    return false;
  }

  bool take(json value) { return place(std::move(value)) != nullptr; }

  bool open(json container) {
    if (stack_.size() >= limits_.depth)
      return refuse(Fault::unsupported,
                    fmt::format("its values are nested more than {} deep", limits_.depth));
    json* const placed = place(std::move(container));
    if (placed != nullptr) stack_.push_back(placed);
    return placed != nullptr;
  }

  bool close() {
    stack_.pop_back();
    return true;
  }

  // Where the value stands now; a container is not moved while it is filled.
  json* place(json value) {
    if (++values_ > limits_.values) {
      refuse(Fault::unsupported, fmt::format("it holds more than {} values", limits_.values));
      return nullptr;
    }
    if (stack_.empty()) {
      document_ = std::move(value);
      return &document_;
    }
    if (stack_.back()->is_object()) {
      *member_ = std::move(value);
      return member_;
    }
    auto& array = stack_.back()->get_ref<json::array_t&>();
    array.push_back(std::move(value));
    return &array.back();
  }

  const JsonLimits& limits_;
  json document_;
  std::vector<json*> stack_;
  json* member_ = nullptr;  // of the object that is being filled
  std::size_t values_ = 0;
  Fault fault_ = Fault::corrupt_file;
  std::string cause_;
};

[[noreturn]] void refuse_size(const std::string& name, std::uint64_t size,
                              const JsonLimits& limits) {
  throw Error(Fault::unsupported,
              fmt::format("{}: it has {} bytes, more than the {} that such a file may have", name,
                          size, limits.bytes));
}

}  // namespace

json parse_json(std::string_view text, const std::string& name, const JsonLimits& limits) {
  if (text.size() > limits.bytes) refuse_size(name, text.size(), limits);
  // The parser takes a zero for the end of the text.
  if (const auto zero = text.find('\0'); zero != std::string_view::npos)
    throw Error(Fault::corrupt_file,
                fmt::format("{}: it is not valid JSON, at byte {}", name, zero + 1));
  Builder builder(limits);
  if (!json::sax_parse(text, &builder)) throw builder.error(name);
  return builder.take_document();
}

json read_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  const base::File file = base::File::open(path);
  const std::uint64_t size = file.size();
  if (size > limits.bytes) refuse_size(file.name(), size, limits);
  std::string text(size, '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return parse_json(text, file.name(), limits);
}

}  // namespace malina::format
