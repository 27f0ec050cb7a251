#include "base/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/quote.h"

namespace malina::base {

namespace {

// Builds the document from the parser's events. A false answer ends the parsing, and fault_ and
// cause_ say why.
template <class Json>
class Builder final : public nlohmann::json_sax<Json> {
 public:
  using number_integer_t = typename Json::number_integer_t;
  using number_unsigned_t = typename Json::number_unsigned_t;
  using number_float_t = typename Json::number_float_t;
  using string_t = typename Json::string_t;
  using binary_t = typename Json::binary_t;

  explicit Builder(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return take(nullptr); }
  bool boolean(bool value) override { return take(value); }
  bool number_integer(number_integer_t value) override { return take(value); }
  bool number_unsigned(number_unsigned_t value) override { return take(value); }
  bool number_float(number_float_t value, const string_t&) override { return take(value); }
  bool string(string_t& value) override { return take(std::move(value)); }
  bool binary(binary_t&) override { return refuse(Fault::unsupported, "it holds binary data"); }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& value) override {
    auto& object = stack_.back()->template get_ref<typename Json::object_t&>();
    if (object.size() >= limits_.members)
      return refuse(Fault::unsupported,
                    fmt::format("an object has more than {} members", limits_.members));
    const auto [place, added] = object.emplace(value, nullptr);
    if (!added)
      return refuse(Fault::corrupt_file,
                    fmt::format("key {} stands twice in one object", in_quotes(value)));
    member_ = &place->second;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception&) override {
    return refuse(Fault::corrupt_file, fmt::format("it is not valid JSON, at byte {}", position));
  }

  Json take_document() { return std::move(document_); }
  Error error(const std::string& name) const { return Error(fault_, name + ": " + cause_); }

 private:
  bool refuse(Fault fault, std::string cause) {
    fault_ = fault;
    cause_ = std::move(cause);
    return false;
  }

  bool take(Json value) { return place(std::move(value)) != nullptr; }

  bool open(Json container) {
    if (stack_.size() >= limits_.depth)
      return refuse(Fault::unsupported,
                    fmt::format("its values are nested more than {} deep", limits_.depth));
    Json* const placed = place(std::move(container));
    if (placed != nullptr) stack_.push_back(placed);
    return placed != nullptr;
  }

  bool close() {
    stack_.pop_back();
    return true;
  }

  // Where the value stands now; a container is not moved while it is filled.
  Json* place(Json value) {
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
    auto& array = stack_.back()->template get_ref<typename Json::array_t&>();
    array.push_back(std::move(value));
    return &array.back();
  }

  const JsonLimits& limits_;
  Json document_;
  std::vector<Json*> stack_;
  Json* member_ = nullptr;  // of the object that is being filled
  std::size_t values_ = 0;
  Fault fault_ = Fault::corrupt_file;
  std::string cause_;
};

}  // namespace

template <class Json>
Json parse_json(std::string_view text, const std::string& name, const JsonLimits& limits) {
  if (text.size() > limits.bytes)
    throw Error(Fault::unsupported,
                fmt::format("{}: it has {} bytes, more than the {} that such a file may have", name,
                            text.size(), limits.bytes));
  // The parser takes a zero for the end of the text.
  if (const auto zero = text.find('\0'); zero != std::string_view::npos)
    throw Error(Fault::corrupt_file,
                fmt::format("{}: it is not valid JSON, at byte {}", name, zero + 1));
  Builder<Json> builder(limits);
  if (!Json::sax_parse(text, &builder)) throw builder.error(name);
  return builder.take_document();
}

template nlohmann::json parse_json(std::string_view, const std::string&, const JsonLimits&);
template nlohmann::ordered_json parse_json(std::string_view, const std::string&, const JsonLimits&);

}  // namespace malina::base
