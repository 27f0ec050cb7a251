#include "base/regular_expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <limits>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/quote.h"

namespace malina::base {

namespace {

constexpr std::size_t kMostInstructions = 8192;
constexpr std::size_t kLongestPattern = 16384;
constexpr std::size_t kLongestText = 4096;
constexpr std::size_t kDeepest = 64;
constexpr std::size_t kMostRepeats = 1000;
constexpr std::size_t kBytes = 256;

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

}  // namespace

// A recursive descent that emits the program as it goes: instructions of a part stand together, and
// addresses in them are relative to the part's begin until it is placed.
class RegularExpressionCompiler {
 public:
  using Kind = RegularExpression::Instruction::Kind;
  using Part = std::vector<RegularExpression::Instruction>;
  using Class = RegularExpression::Class;

  explicit RegularExpressionCompiler(std::string_view pattern) : pattern_(pattern) {
    if (pattern.size() > kLongestPattern) throw too_large();
  }

  Part compile() {
    Part program = alternatives(0);
    if (!at_end()) throw wrong("there is a ')' without '('");
    program.push_back({Kind::found});
    return program;
  }
  std::vector<Class> take_classes() { return std::move(classes_); }

 private:
  bool at_end() const { return place_ == pattern_.size(); }
  char peek() const { return at_end() ? '\0' : pattern_[place_]; }
  bool take(std::string_view text) {
    if (pattern_.substr(place_, text.size()) != text) return false;
    place_ += text.size();
    return true;
  }

  Error wrong(std::string_view cause) const {
    return Error(Fault::invalid_argument,
                 fmt::format("{} is not a regular expression: {}", in_quotes(pattern_), cause));
  }
  Error missing(std::string_view what) const {
    return Error(Fault::unsupported,
                 fmt::format("the regular expression {} holds {}", in_quotes(pattern_), what));
  }
  Error too_large() const {
    return Error(Fault::unsupported,
                 fmt::format("the regular expression {} is too large", in_quotes(pattern_)));
  }

  // Appends `part` with its addresses moved to where it stands now.
  void append(Part& whole, const Part& part) const {
    const auto base = static_cast<std::uint32_t>(whole.size());
    if (whole.size() + part.size() > kMostInstructions) throw too_large();
    for (auto instruction : part) {
      if (is_address(instruction.kind)) instruction.operand += base;
      whole.push_back(instruction);
    }
  }
  static bool is_address(Kind kind) {
    return kind == Kind::split || kind == Kind::jump || kind == Kind::ahead ||
           kind == Kind::not_ahead;
  }

  Part alternatives(std::size_t depth) {
    if (depth > kDeepest) throw too_large();
    Part whole = sequence(depth);
    while (take("|")) {
      const Part second = sequence(depth);
      Part both{{Kind::split, static_cast<std::uint32_t>(whole.size() + 2)}};
      append(both, whole);
      both.push_back({Kind::jump, static_cast<std::uint32_t>(both.size() + 1 + second.size())});
      append(both, second);
      whole = std::move(both);
    }
    return whole;
  }

  Part sequence(std::size_t depth) {
    Part whole;
    while (!at_end() && peek() != '|' && peek() != ')') append(whole, quantified(depth));
    return whole;
  }

  struct Count {
    std::size_t least, most;
  };
  static constexpr std::size_t kUnbounded = std::numeric_limits<std::size_t>::max();

  Part quantified(std::size_t depth) {
    Part part = atom(depth);
    const std::optional<Count> count = quantifier();
    if (!count) return part;
    if (take("+")) throw missing("a possessive quantifier");
    take("?");  // lazy: what matches is the same
    if (quantifier()) throw wrong("a quantifier follows another");
    return repeated(part, *count);
  }

  std::optional<Count> quantifier() {
    if (take("*")) return Count{0, kUnbounded};
    if (take("+")) return Count{1, kUnbounded};
    if (take("?")) return Count{0, 1};
    const std::size_t before = place_;
    if (!take("{")) return std::nullopt;
    const auto least = number();
    const bool comma = take(",");
    const auto most = comma ? number() : least;
    if (!take("}") || (!least && !comma)) {  // an ordinary brace, as in Python
      place_ = before;
      return std::nullopt;
    }
    const Count count{least.value_or(0), most.value_or(kUnbounded)};
    if (count.least > count.most) throw wrong("a quantifier counts down");
    return count;
  }

  std::optional<std::size_t> number() {
    std::optional<std::size_t> value;
    while (std::isdigit(static_cast<unsigned char>(peek())) != 0) {
      value = value.value_or(0) * 10 + static_cast<std::size_t>(peek() - '0');
      if (*value > kMostRepeats) throw too_large();
      ++place_;
    }
    return value;
  }

  Part repeated(const Part& part, Count count) const {
    Part whole;
    for (std::size_t i = 0; i < count.least; ++i) append(whole, part);
    const auto size = static_cast<std::uint32_t>(part.size());
    if (count.most == kUnbounded) {
      Part loop{{Kind::split, size + 2}};
      append(loop, part);
      loop.push_back({Kind::jump, 0});
      append(whole, loop);
      return whole;
    }
    for (std::size_t i = count.least; i < count.most; ++i) {
      Part optional{{Kind::split, size + 1}};
      append(optional, part);
      append(whole, optional);
    }
    return whole;
  }

  Part atom(std::size_t depth) {
    const char c = peek();
    if (c == '*' || c == '+' || c == '?') throw wrong("a quantifier has nothing to repeat");
    if (c == '\\') return escaped();
    ++place_;
    switch (c) {
      case '(':
        return group(depth);
      case '[':
        return of_class(class_of_brackets());
      case '.': {
        Class any(kBytes, true);
        any['\n'] = false;
        return of_class(std::move(any));
      }
      case '^':
        return {{Kind::begin}};
      case '$':
        return {{Kind::end}};
      default:
        return of_class(single(c));
    }
  }

  Part group(std::size_t depth) {
    std::optional<Kind> look;
    if (take("?")) {
      if (take("="))
        look = Kind::ahead;
      else if (take("!"))
        look = Kind::not_ahead;
      else if (take("P<"))
        skip_name();
      else if (!take(":"))
        throw missing("a group of a kind that is not known here");
    }
    Part inner = alternatives(depth + 1);
    if (!take(")")) throw wrong("a '(' is not closed");
    if (!look) return inner;
    inner.push_back({Kind::found});
    Part part{{*look, static_cast<std::uint32_t>(inner.size() + 1)}};
    append(part, inner);
    return part;
  }

  void skip_name() {
    while (is_word(peek())) ++place_;
    if (!take(">")) throw wrong("a group's name is not closed");
  }

  Part of_class(Class bytes) {
    classes_.push_back(std::move(bytes));
    if (classes_.size() > kMostInstructions) throw too_large();
    return {{Kind::byte_class, static_cast<std::uint32_t>(classes_.size() - 1)}};
  }

  static Class single(char c) {
    Class bytes(kBytes, false);
    bytes[static_cast<unsigned char>(c)] = true;
    return bytes;
  }

  Part escaped() {
    ++place_;
    const char c = peek();
    if (c == 'b' || c == 'B' || c == 'A' || c == 'Z') {
      ++place_;
      if (c == 'A') return {{Kind::begin}};
      if (c == 'Z') return {{Kind::end}};
      return {{c == 'b' ? Kind::edge : Kind::no_edge}};
    }
    return of_class(class_of_escape());
  }

  // Behind a backslash, in brackets or outside.
  Class class_of_escape() {
    if (at_end()) throw wrong("it ends with a backslash");
    const char c = pattern_[place_++];
    const auto set = [](bool wanted, auto&& has) {
      Class bytes(kBytes);
      for (std::size_t i = 0; i < kBytes; ++i)
        bytes[i] = has(static_cast<unsigned char>(i)) == wanted;
      return bytes;
    };
    const auto digit = [](unsigned char b) { return b >= '0' && b <= '9'; };
    const auto space = [](unsigned char b) { return b == ' ' || (b >= '\t' && b <= '\r'); };
    const auto word = [](unsigned char b) { return is_word(static_cast<char>(b)); };
    switch (c) {
      case 'd':
      case 'D':
        return set(c == 'd', digit);
      case 's':
      case 'S':
        return set(c == 's', space);
      case 'w':
      case 'W':
        return set(c == 'w', word);
      case 'n':
        return single('\n');
      case 't':
        return single('\t');
      case 'r':
        return single('\r');
      default:
        if (std::isdigit(static_cast<unsigned char>(c)) != 0) throw missing("a reference back");
        if (std::isalpha(static_cast<unsigned char>(c)) != 0)
          throw missing(fmt::format("the escape \\{}", c));
        return single(c);
    }
  }

  Class class_of_brackets() {
    const bool negated = take("^");
    Class bytes(kBytes, false);
    bool first = true;
    while (first || peek() != ']') {
      if (at_end()) throw wrong("a '[' is not closed");
      first = false;
      const bool is_escape = peek() == '\\';
      const char low = peek();
      ++place_;
      const Class one = is_escape ? class_of_escape() : single(low);
      if (!is_escape && peek() == '-' && place_ + 1 < pattern_.size() &&
          pattern_[place_ + 1] != ']') {
        ++place_;
        add_range(bytes, low);
        continue;
      }
      for (std::size_t i = 0; i < kBytes; ++i) bytes[i] = bytes[i] || one[i];
    }
    ++place_;
    if (negated) bytes.flip();
    return bytes;
  }

  void add_range(Class& bytes, char low) {
    if (peek() == '\\') ++place_;
    if (at_end()) throw wrong("a '[' is not closed");
    const auto first = static_cast<unsigned char>(low);
    const auto last = static_cast<unsigned char>(pattern_[place_++]);
    if (first > last) throw wrong("a range in brackets runs down");
    for (std::size_t i = first; i <= last; ++i) bytes[i] = true;
  }

  std::string_view pattern_;
  std::size_t place_ = 0;
  std::vector<Class> classes_;
};

RegularExpression::RegularExpression(std::string_view pattern) : pattern_(pattern) {
  RegularExpressionCompiler compiler(pattern_);
  program_ = compiler.compile();
  classes_ = compiler.take_classes();
}

bool RegularExpression::matches(std::string_view text) const {
  if (text.size() > kLongestText)
    throw Error(Fault::unsupported, fmt::format("a text of {} bytes is too long for the regular "
                                                "expression {}",
                                                text.size(), in_quotes(pattern_)));
  return run(text, 0, 0, true);
}

// Depth first, each instruction at each position once: that it failed before is enough to know.
bool RegularExpression::run(std::string_view text, std::uint32_t start, std::size_t position,
                            bool whole) const {
  using Kind = Instruction::Kind;
  std::vector<bool> seen(program_.size() * (text.size() + 1), false);
  std::vector<std::pair<std::uint32_t, std::size_t>> open{{start, position}};
  const auto at_edge = [&](std::size_t at) {
    const bool before = at > 0 && is_word(text[at - 1]);
    const bool after = at < text.size() && is_word(text[at]);
    return before != after;
  };
  while (!open.empty()) {
    const auto [place, at] = open.back();
    open.pop_back();
    if (seen[place * (text.size() + 1) + at]) continue;
    seen[place * (text.size() + 1) + at] = true;
    const Instruction& now = program_[place];
    const auto go_on = [&, next = place + 1, here = at](bool holds) {
      if (holds) open.emplace_back(next, here);
    };
    switch (now.kind) {
      case Kind::byte_class:
        if (at < text.size() && classes_[now.operand][static_cast<unsigned char>(text[at])])
          open.emplace_back(place + 1, at + 1);
        break;
      case Kind::split:
        open.emplace_back(now.operand, at);
        go_on(true);
        break;
      case Kind::jump:
        open.emplace_back(now.operand, at);
        break;
      case Kind::begin:
        go_on(at == 0);
        break;
      case Kind::end:
        go_on(at == text.size());
        break;
      case Kind::edge:
        go_on(at_edge(at));
        break;
      case Kind::no_edge:
        go_on(!at_edge(at));
        break;
      case Kind::ahead:
      case Kind::not_ahead:
        if (run(text, place + 1, at, false) == (now.kind == Kind::ahead))
          open.emplace_back(now.operand, at);
        break;
      case Kind::found:
        if (!whole || at == text.size()) return true;
        break;
    }
  }
  return false;
}

}  // namespace malina::base
