#include "serve/multipart.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/ascii.h"
#include "serve/api_error.h"

namespace malina::serve {

namespace {

constexpr std::size_t kLongestBoundary = 70;  // RFC 2046, 5.1.1
constexpr std::size_t kMostPadding = 64;  // spaces after a boundary, which are allowed and useless

ApiError malformed(const std::string& what) {
  return bad_request("the body is not valid multipart/form-data: " + what, {}, "invalid_multipart");
}

bool same(std::string_view a, std::string_view b) {
  return base::ascii_lower(a) == base::ascii_lower(b);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_token(char c) {  // RFC 9110, 5.6.2
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

struct Parameter {
  std::string name, value;
};

// "form-data; name=\"a\"; filename=b": the word, and what follows. Throws where it does not read
// so.
std::string parameters(std::string_view text, std::vector<Parameter>& into) {
  const std::size_t end = text.find(';');
  std::string word(trimmed(text.substr(0, end)));
  std::string_view rest = end == std::string_view::npos ? "" : text.substr(end);
  while (!trimmed(rest).empty()) {
    rest = trimmed(rest);
    if (!rest.starts_with(';')) throw malformed("a parameter of a header has no ';' before it");
    rest = trimmed(rest.substr(1));
    if (rest.empty()) break;  // "a;" is written too
    Parameter parameter;
    while (!rest.empty() && is_token(rest.front())) {
      parameter.name += base::ascii_lower(rest.front());
      rest.remove_prefix(1);
    }
    if (parameter.name.empty() || !rest.starts_with('='))
      throw malformed("a parameter of a header has no name and value");
    rest.remove_prefix(1);
    if (rest.starts_with('"')) {
      rest.remove_prefix(1);
      bool closed = false;
      while (!rest.empty() && !closed) {
        char c = rest.front();
        rest.remove_prefix(1);
        closed = c == '"';
        // Browsers write %22; a backslash is an escape before a quote alone, since file names of
        // Windows come with their own.
        if (c == '\\' && rest.starts_with('"')) {
          c = '"';
          rest.remove_prefix(1);
        }
        if (!closed) parameter.value += c;
      }
      if (!closed) throw malformed("a quoted value of a header does not end");
    } else {
      while (!rest.empty() && is_token(rest.front())) {
        parameter.value += rest.front();
        rest.remove_prefix(1);
      }
    }
    for (const Parameter& other : into)
      if (other.name == parameter.name) throw malformed("a parameter of a header comes twice");
    into.push_back(std::move(parameter));
  }
  return word;
}

const std::string* find(const std::vector<Parameter>& all, std::string_view name) {
  const auto found = std::ranges::find(all, name, &Parameter::name);
  return found == all.end() ? nullptr : &found->value;
}

bool is_boundary(const std::string& text) {
  return !text.empty() && text.size() <= kLongestBoundary && text.back() != ' ' &&
         std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos;
         });
}

}  // namespace

PartHead parse_part_head(std::string_view lines) {
  PartHead head;
  bool found = false;
  while (!lines.empty()) {
    const std::size_t end = lines.find("\r\n");
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 2);
    if (line.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
      throw malformed("a header of a part has a control character");
    const std::size_t colon = line.find(':');
    if (colon == 0 || colon == std::string_view::npos ||
        !std::ranges::all_of(line.substr(0, colon), is_token))
      throw malformed("a header of a part has no name");
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (same(name, "content-transfer-encoding") && !same(value, "binary") && !same(value, "8bit") &&
        !same(value, "7bit"))
      throw malformed("a part has a transfer encoding (RFC 7578, 4.7)");
    if (!same(name, "content-disposition")) continue;
    if (found) throw malformed("a part has two Content-Disposition headers");
    found = true;
    std::vector<Parameter> all;
    if (!same(parameters(value, all), "form-data")) throw malformed("a part is no form-data");
    const std::string* field = find(all, "name");
    if (field == nullptr) throw malformed("a part has no name");
    head.name = *field;
    if (const std::string* file = find(all, "filename")) head.filename = *file;
  }
  if (!found) throw malformed("a part has no Content-Disposition header");
  return head;
}

MultipartReader::MultipartReader(std::string_view content_type, PartSink sink,
                                 MultipartLimits limits)
    : sink_(std::move(sink)), limits_(limits) {
  std::vector<Parameter> all;
  const std::string type = parameters(content_type, all);
  const std::string* boundary = find(all, "boundary");
  if (!same(type, "multipart/form-data") || boundary == nullptr)
    throw bad_request("the body must be multipart/form-data with a boundary", {},
                      "invalid_content_type");
  if (!is_boundary(*boundary)) throw malformed("the boundary is not one that RFC 2046 allows");
  delimiter_ = "\r\n--" + *boundary;
}

void MultipartReader::feed(std::string_view bytes) {
  buffer_.append(bytes);
  while (step()) {
  }
  buffer_.erase(0, used_);
  used_ = 0;
}

void MultipartReader::finish() const {
  if (state_ != State::closed) throw malformed("it ends before its closing boundary");
}

bool MultipartReader::step() {
  switch (state_) {
    case State::opening:
      return open();
    case State::after_boundary:
      return after_boundary();
    case State::header:
      return read_header();
    case State::content:
      return read_content();
    case State::closed:
      break;
  }
  // RFC 2046 lets more follow, which nobody reads; a line end is what clients write.
  const std::string_view rest = std::string_view(buffer_).substr(used_);
  if (rest.size() > 2 || !std::string_view("\r\n").starts_with(rest))
    throw malformed("something follows the closing boundary");
  return false;
}

bool MultipartReader::open() {
  const std::string_view first = std::string_view(delimiter_).substr(2);
  const std::string_view here = std::string_view(buffer_).substr(0, first.size());
  if (!first.starts_with(here)) throw malformed("it does not begin with the boundary");
  if (here.size() < first.size()) return false;
  used_ = first.size();
  state_ = State::after_boundary;
  return true;
}

bool MultipartReader::after_boundary() {
  const std::string_view here = std::string_view(buffer_).substr(used_);
  if (here.starts_with("--")) {
    used_ += 2;
    state_ = State::closed;
    return true;
  }
  if (here == "-") return false;
  const std::size_t padding = std::min(here.find_first_not_of(" \t"), here.size());
  if (padding > kMostPadding) throw malformed("spaces follow a boundary without end");
  const std::string_view rest = here.substr(padding);
  if (rest.size() < 2) {
    if (!std::string_view("\r\n").starts_with(rest))
      throw malformed("a boundary ends in no line end");
    return false;
  }
  if (!rest.starts_with("\r\n")) throw malformed("a boundary ends in no line end");
  if (++parts_ > limits_.parts) throw malformed("it has too many parts");
  used_ += padding + 2;
  state_ = State::header;
  return true;
}

bool MultipartReader::read_header() {
  const std::string_view here = std::string_view(buffer_).substr(used_);
  const std::size_t end = here.find("\r\n\r\n");
  // Of what has no end yet the last three bytes may be the beginning of it.
  const std::size_t length =
      end != std::string_view::npos ? end : here.size() - std::min<std::size_t>(here.size(), 3);
  if (length > limits_.header_bytes) throw malformed("the header of a part is too long");
  if (here.starts_with("\r\n")) throw malformed("a part has no header");
  if (end == std::string_view::npos) return false;
  const PartHead head = parse_part_head(here.substr(0, end));
  used_ += end + 4;
  state_ = State::content;
  sink_.begin(head);
  return true;
}

bool MultipartReader::read_content() {
  const std::string_view here = std::string_view(buffer_).substr(used_);
  const std::size_t end = here.find(delimiter_);
  const std::size_t known = end != std::string_view::npos
                                ? end
                                : here.size() - std::min(here.size(), delimiter_.size() - 1);
  if (known > 0) sink_.data(here.substr(0, known));
  used_ += known;
  if (end == std::string_view::npos) return false;
  used_ += delimiter_.size();
  state_ = State::after_boundary;
  sink_.end();
  return true;
}

}  // namespace malina::serve
