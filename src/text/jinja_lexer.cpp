#include "text/jinja_lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "text/jinja_escape.h"
#include "text/jinja_unicode.h"

namespace malina::text::jinja {
namespace {

using base::Fault;

bool digit(char c) { return c >= '0' && c <= '9'; }
bool name_start(char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Longest first.
constexpr std::array<std::string_view, 26> kSymbols = {
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
    "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};

std::string with_unix_newlines(std::string_view source) {
  std::string result;
  result.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      result.push_back(source[i]);
    } else {
      result.push_back('\n');
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!result.empty() && result.back() == '\n') result.pop_back();
  return result;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(with_unix_newlines(source)) {}

  std::vector<Lexeme> run() {
    while (position_ < source_.size()) root();
    emit(Lexeme::Kind::end, "");
    return std::move(lexemes_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(position_); }
  bool at(std::string_view text) const { return rest().starts_with(text); }

  void emit(Lexeme::Kind kind, std::string text) {
    lexemes_.push_back({.kind = kind, .line = line_, .text = std::move(text)});
  }

  // Moves on by `count` bytes, which are counted for their line ends.
  void pass(std::size_t count) {
    const auto passed = rest().substr(0, count);
    line_ += static_cast<int>(std::count(passed.begin(), passed.end(), '\n'));
    if (!passed.empty()) line_starting_ = passed.back() == '\n';
    position_ += count;
  }

  std::size_t spaces_at(std::size_t offset) const {
    const auto text = rest().substr(offset);
    return text.size() - strip_space(text, true, false).size();
  }

  void root();
  void data(std::size_t length, char sign, bool variable);
  std::size_t raw_tag(std::size_t offset, std::string_view word, bool begin) const;
  void raw(std::size_t tag_length);
  void comment();
  void tag(bool variable);
  bool tag_end(bool variable);
  void lexeme();
  bool number();
  std::size_t digits_at(std::size_t offset) const;
  bool real_number();
  bool prefixed_integer();
  void string(char quote);
  void symbol();

  std::string source_;
  std::size_t position_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<char> open_;  // the closing brackets that are awaited
  std::vector<Lexeme> lexemes_;
};

char sign_of(std::string_view text) {
  return text.size() > 2 && (text[2] == '-' || text[2] == '+') ? text[2] : '\0';
}

void Lexer::root() {
  std::size_t start = position_;
  for (;; ++start) {
    start = source_.find('{', start);
    if (start == std::string::npos || start + 1 >= source_.size()) {
      emit(Lexeme::Kind::data, std::string(rest()));
      pass(rest().size());
      return;
    }
    const char next = source_[start + 1];
    if (next == '%' || next == '{' || next == '#') break;
  }
  const char type = source_[start + 1];
  const char sign = sign_of(std::string_view(source_).substr(start));
  data(start - position_, sign, type == '{');
  if (type == '%') {
    if (const auto length = raw_tag(0, "raw", true); length > 0) return raw(length);
  }
  const int line = line_;
  pass(sign == '\0' ? 2 : 3);
  if (type == '#') return comment();
  lexemes_.push_back(
      {.kind = type == '{' ? Lexeme::Kind::variable_begin : Lexeme::Kind::block_begin,
       .line = line});
  tag(type == '{');
}

// The text before a tag. `-` takes all white space before the tag, lstrip_blocks what stands
// between the tag and the beginning of its line.
void Lexer::data(std::size_t length, char sign, bool variable) {
  std::string_view text = rest().substr(0, length);
  if (sign == '-') {
    text = strip_space(text, false, true);
  } else if (sign != '+' && !variable) {
    const std::size_t line = text.rfind('\n') + 1;  // npos + 1 is 0
    const bool blank = strip_space(text.substr(line)).empty();
    if ((line > 0 || line_starting_) && blank) text = text.substr(0, line);
  }
  if (!text.empty()) emit(Lexeme::Kind::data, std::string(text));
  pass(length);
}

// The length of `{% raw %}` or `{% endraw %}` at `offset`, 0 where there is none.
std::size_t Lexer::raw_tag(std::size_t offset, std::string_view word, bool begin) const {
  const auto text = rest();
  std::size_t at = offset + 2;
  if (sign_of(text.substr(offset)) != '\0') ++at;
  at += spaces_at(at);
  if (text.substr(at, word.size()) != word) return 0;
  at += word.size();
  at += spaces_at(at);
  const auto end = text.substr(at);
  if (end.starts_with("-%}")) return at + 3 + spaces_at(at + 3) - offset;
  if (!begin && end.starts_with("+%}")) return at + 3 - offset;
  if (!end.starts_with("%}")) return 0;
  return at + 2 + (!begin && end.substr(2, 1) == "\n" ? 1U : 0U) - offset;
}

void Lexer::raw(std::size_t tag_length) {
  const int line = line_;
  pass(tag_length);
  if (rest().empty()) return;  // as Jinja2 does
  for (std::size_t start = 0;; ++start) {
    start = rest().find("{%", start);
    if (start == std::string_view::npos) break;
    const auto length = raw_tag(start, "endraw", false);
    if (length == 0) continue;
    data(start, sign_of(rest().substr(start)), false);
    return pass(length);
  }
  refuse(Fault::corrupt_file, line, "'raw' is not closed by 'endraw'");
}

void Lexer::comment() {
  if (rest().empty()) return;  // as Jinja2 does
  const auto end = rest().find("#}");
  if (end == std::string_view::npos) {
    refuse(Fault::corrupt_file, line_, "the comment is not closed by '#}'");
  }
  const char sign = end > 0 ? rest()[end - 1] : '\0';
  std::size_t length = end + 2;
  if (sign == '-') {
    length += spaces_at(length);
  } else if (sign != '+' && rest().substr(length, 1) == "\n") {
    ++length;
  }
  pass(length);
}

void Lexer::tag(bool variable) {
  open_.clear();
  while (position_ < source_.size()) {
    if (open_.empty() && tag_end(variable)) return;
    lexeme();
  }
}

bool Lexer::tag_end(bool variable) {
  const std::string_view mark = variable ? "}}" : "%}";
  const bool dash = rest().starts_with('-') && rest().substr(1).starts_with(mark);
  const bool plus = !variable && rest().starts_with('+') && rest().substr(1).starts_with(mark);
  if (!dash && !plus && !at(mark)) return false;
  std::size_t length = dash || plus ? 3 : 2;
  if (dash) {
    length += spaces_at(length);
  } else if (!variable && !plus && rest().substr(length, 1) == "\n") {
    ++length;
  }
  emit(variable ? Lexeme::Kind::variable_end : Lexeme::Kind::block_end, std::string(mark));
  pass(length);
  return true;
}

void Lexer::lexeme() {
  if (const auto spaces = spaces_at(0); spaces > 0) return pass(spaces);
  const char first = rest().front();
  if (digit(first) && number()) return;
  if (name_start(first)) {
    std::size_t length = 1;
    while (length < rest().size() && (name_start(rest()[length]) || digit(rest()[length])))
      ++length;
    if (length < rest().size() && static_cast<unsigned char>(rest()[length]) >= 0x80) {
      refuse(Fault::unsupported, line_, "a name with letters beyond ASCII is not supported");
    }
    emit(Lexeme::Kind::name, std::string(rest().substr(0, length)));
    return pass(length);
  }
  if (first == '\'' || first == '"') return string(first);
  symbol();
}

// Digits with single underscores between them.
std::size_t Lexer::digits_at(std::size_t offset) const {
  const auto text = rest().substr(std::min(offset, rest().size()));
  std::size_t length = 0;
  while (length < text.size()) {
    const bool joined = text[length] == '_' && length > 0 && length + 1 < text.size() &&
                        text[length - 1] != '_' && digit(text[length + 1]);
    if (!digit(text[length]) && !joined) break;
    ++length;
  }
  return length;
}

std::string without_underscores(std::string_view text) {
  std::string result(text);
  std::erase(result, '_');
  return result;
}

bool Lexer::real_number() {
  if (position_ > 0 && source_[position_ - 1] == '.') return false;  // messages.0.1
  std::size_t length = digits_at(0);
  const auto text = rest();
  bool real = false;
  if (text.substr(length, 1) == "." && digits_at(length + 1) > 0) {
    length += 1 + digits_at(length + 1);
    real = true;
  }
  if (text.substr(length, 1) == "e" || text.substr(length, 1) == "E") {
    std::size_t at = length + 1;
    if (text.substr(at, 1) == "+" || text.substr(at, 1) == "-") ++at;
    if (digits_at(at) > 0) {
      length = at + digits_at(at);
      real = true;
    }
  }
  if (!real) return false;
  const std::string digits = without_underscores(text.substr(0, length));
  emit(Lexeme::Kind::real, digits);
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(),
                                      lexemes_.back().real, std::chars_format::general);
  if (result.ec != std::errc()) {
    refuse(Fault::unsupported, line_, "the number " + digits + " is out of range");
  }
  pass(length);
  return true;
}

// 0b1010, 0o17, 0xff
bool Lexer::prefixed_integer() {
  if (rest().size() < 3 || rest()[0] != '0') return false;
  const char mark = static_cast<char>(rest()[1] | 0x20);
  const int base = mark == 'b' ? 2 : mark == 'o' ? 8 : mark == 'x' ? 16 : 0;
  if (base == 0) return false;
  Integer value = 0;
  std::size_t length = 2;
  const auto value_of = [&](std::size_t index) {
    int parsed = -1;
    if (index < rest().size()) {
      const char* from = rest().data() + index;
      if (std::from_chars(from, from + 1, parsed, base).ec != std::errc()) parsed = -1;
    }
    return parsed;
  };
  for (;;) {
    const std::size_t next = length + (rest().substr(length, 1) == "_" ? 1U : 0U);
    const int added = value_of(next);
    if (added < 0) break;
    if (__builtin_mul_overflow(value, Integer{base}, &value) ||
        __builtin_add_overflow(value, Integer{added}, &value)) {
      refuse(Fault::unsupported, line_, "a number is too large");
    }
    length = next + 1;
  }
  if (length == 2) return false;
  emit(Lexeme::Kind::integer, std::string(rest().substr(0, length)));
  lexemes_.back().integer = value;
  pass(length);
  return true;
}

bool Lexer::number() {
  if (real_number() || prefixed_integer()) return true;
  std::size_t length = digits_at(0);
  if (rest()[0] == '0') {  // Python has no other number that begins with 0
    length = 1;
    for (;;) {
      const std::size_t next = length + (rest().substr(length, 1) == "_" ? 1U : 0U);
      if (rest().substr(next, 1) != "0") break;
      length = next + 1;
    }
  }
  Integer value = 0;
  for (const char c : without_underscores(rest().substr(0, length))) {
    if (__builtin_mul_overflow(value, Integer{10}, &value) ||
        __builtin_add_overflow(value, Integer{c - '0'}, &value)) {
      refuse(Fault::unsupported, line_, "a number is too large");
    }
  }
  emit(Lexeme::Kind::integer, std::string(rest().substr(0, length)));
  lexemes_.back().integer = value;
  pass(length);
  return true;
}

void Lexer::string(char quote) {
  std::size_t end = 1;
  while (end < rest().size() && rest()[end] != quote) end += rest()[end] == '\\' ? 2 : 1;
  if (end >= rest().size()) {
    refuse(Fault::corrupt_file, line_, "a string is not closed");
  }
  emit(Lexeme::Kind::string, resolve_escapes(rest().substr(1, end - 1), line_));
  pass(end + 1);
}

void Lexer::symbol() {
  for (const auto candidate : kSymbols) {
    if (!at(candidate)) continue;
    const char c = candidate.front();
    if (c == '{' || c == '(' || c == '[') open_.push_back(c == '{' ? '}' : c == '(' ? ')' : ']');
    if (c == '}' || c == ')' || c == ']') {
      if (open_.empty() || open_.back() != c) {
        refuse(Fault::corrupt_file, line_, fmt::format("'{}' closes nothing", c));
      }
      open_.pop_back();
    }
    emit(Lexeme::Kind::symbol, std::string(candidate));
    return pass(candidate.size());
  }
  std::size_t next = 0;
  next_character(rest(), next);
  refuse(Fault::corrupt_file, line_,
         fmt::format("'{}' has no meaning here", rest().substr(0, next)));
}

}  // namespace

void refuse(Fault fault, int line, const std::string& message) {
  throw base::Error(fault, fmt::format("chat template, line {}: {}", line, message));
}

std::string Lexeme::described() const {
  switch (kind) {
    case Kind::end:
      return "the end of the template";
    case Kind::data:
      return "text";
    case Kind::variable_begin:
      return "'{{'";
    case Kind::block_begin:
      return "'{%'";
    case Kind::string:
      return "a string";
    default:
      return "'" + text + "'";
  }
}

std::vector<Lexeme> lex(std::string_view source) {
  if (const auto flaw = first_invalid_utf8(source)) {
    const auto before = source.substr(0, *flaw);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    refuse(Fault::corrupt_file, static_cast<int>(line), "the text is not valid UTF-8");
  }
  return Lexer(source).run();
}

}  // namespace malina::text::jinja
