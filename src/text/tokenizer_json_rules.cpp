#include "text/tokenizer_json_rules.h"

#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "base/error.h"
#include "format/quote.h"

namespace malina::text {
namespace {

using base::Error;
using base::Fault;
using format::in_quotes;
using nlohmann::json;

constexpr std::string_view kMark = "▁";

// What the steps of one kind consist of, sequences resolved.
class Steps {
 public:
  // `inside` is the key of a sequence's list.
  Steps(const json& step, std::string_view kind, const char* inside, const std::string& name)
      : kind_(kind), inside_(inside), name_(name) {
    if (!step.is_null()) add(step);
  }

  std::vector<const json*>::const_iterator begin() const { return steps_.begin(); }
  std::vector<const json*>::const_iterator end() const { return steps_.end(); }

  static std::string_view type(const json& step) {
    return step.at("type").get_ref<const std::string&>();
  }
  const json& field(const json& step, const char* key) const {
    const auto found = step.find(key);
    if (found == step.end()) corrupt(fmt::format("of type {} has no {}", type(step), key));
    return *found;
  }
  std::string text(const json& step, const char* key) const {
    const json& value = field(step, key);
    if (!value.is_string()) corrupt(fmt::format("of type {}: {} is no text", type(step), key));
    return value.get<std::string>();
  }
  bool boolean(const json& step, const char* key, bool usual) const {
    const auto found = step.find(key);
    if (found == step.end()) return usual;
    if (!found->is_boolean())
      corrupt(fmt::format("of type {}: {} is neither true nor false", type(step), key));
    return found->get<bool>();
  }

  [[noreturn]] void corrupt(std::string_view cause) const {
    throw Error(Fault::corrupt_file, fmt::format("{}: {} {}", name_, kind_, cause));
  }
  [[noreturn]] void unsupported(std::string_view cause) const {
    throw Error(Fault::unsupported, fmt::format("{}: {} {}", name_, kind_, cause));
  }
  [[noreturn]] void unsupported_type(const json& step) const {
    unsupported(fmt::format("of type {}, which malina does not have here", in_quotes(type(step))));
  }

 private:
  void add(const json& step) {
    if (!step.is_object()) corrupt("is not an object");
    const auto type = step.find("type");
    if (type == step.end() || !type->is_string()) corrupt("has no type");
    if (*type != "Sequence") {
      steps_.push_back(&step);
      return;
    }
    const json& list = field(step, inside_);
    if (!list.is_array()) corrupt(fmt::format("of type Sequence: {} is not an array", inside_));
    for (const json& each : list) add(each);
  }

  std::string_view kind_;
  const char* inside_;
  const std::string& name_;
  std::vector<const json*> steps_;
};

// A pattern is {"String": text} or {"Regex": expression}.
struct Pattern {
  std::string text;
  bool expression;
};
Pattern read_pattern(const Steps& steps, const json& step) {
  const json& pattern = steps.field(step, "pattern");
  for (const char* key : {"String", "Regex"}) {
    const auto found = pattern.is_object() ? pattern.find(key) : pattern.end();
    if (found != pattern.end() && found->is_string())
      return {found->get<std::string>(), std::string_view(key) == "Regex"};
  }
  steps.corrupt(fmt::format("of type {}: pattern is neither String nor Regex", Steps::type(step)));
}

struct Normalizer {
  bool composed = false, prepends = false, replaces = false;
};

Normalizer read_normalizer(const json& normalizer, const std::string& name) {
  const Steps steps(normalizer, "a normalizer", "normalizers", name);
  Normalizer result;
  for (const json* step : steps) {
    const std::string_view type = Steps::type(*step);
    if (type == "NFC") {
      result.composed = true;
    } else if (type == "Prepend") {
      if (steps.text(*step, "prepend") != kMark)
        steps.unsupported("of type Prepend puts another text than U+2581 before a text");
      result.prepends = true;
    } else if (type == "Replace") {
      const Pattern pattern = read_pattern(steps, *step);
      if (pattern.text != " " || steps.text(*step, "content") != kMark)
        steps.unsupported(
            fmt::format("of type Replace has the pattern {}: malina replaces only a "
                        "space by U+2581",
                        in_quotes(pattern.text)));
      result.replaces = true;
    } else {
      steps.unsupported_type(*step);
    }
  }
  return result;
}

bool looks_around(std::string_view expression) {
  for (const std::string_view mark : {"(?=", "(?!", "(?<=", "(?<!"})
    if (expression.find(mark) != std::string_view::npos) return true;
  return false;
}

// The expressions by which a byte-level pre-tokeniser cuts, as lines.
class Expressions {
 public:
  explicit Expressions(const Steps& steps) : steps_(steps) {}

  void add_split(const json& step) {
    Pattern pattern = read_pattern(steps_, step);
    const std::string behavior = steps_.text(step, "behavior");
    const bool inverted = steps_.boolean(step, "invert", false);
    if (!pattern.expression)
      steps_.unsupported(fmt::format("of type Split cuts at the text {}, which malina does not do",
                                     in_quotes(pattern.text)));
    // An expression that matches everything gives the same pieces when what does not match is
    // removed; malina knows no other that stands alone.
    const bool removes = behavior == "Removed" && inverted && lines_.empty();
    if (!(behavior == "Isolated" && !inverted) && !removes)
      steps_.unsupported(
          fmt::format("of type Split has the behavior {}{}, which malina does not do",
                      in_quotes(behavior), inverted ? ", inverted" : ""));
    must_match_all_ |= removes;
    // Where the line break itself stands in the expression, as in some files.
    std::string line;
    for (const char c : pattern.text)
      line += c == '\n' ? "\\n" : c == '\r' ? "\\r" : std::string(1, c);
    add(line);
  }

  void add(const std::string& line) {
    lines_ += (lines_.empty() ? "" : "\n") + line;
    if (looks_around(line)) around_ = true;
    last_ = line;
  }

  std::string name(bool composed, bool ignore_merges) const {
    std::string name = pre_tokenizer_name(lines_, composed, ignore_merges);
    if (must_match_all_ && (name == "bloom" || lines_.find('\n') != std::string::npos))
      name.clear();
    if (!name.empty()) return name;
    // The idiom that all of them share is no obstacle; what else looks around is named.
    std::string rest = last_;
    if (const auto idiom = rest.find("\\s+(?!\\S)"); idiom != std::string::npos)
      rest.erase(idiom, std::string_view("\\s+(?!\\S)").size());
    if (around_ && looks_around(rest))
      steps_.unsupported(
          fmt::format("cuts text by an expression that looks around, {}, which malina "
                      "does not have",
                      in_quotes(last_)));
    steps_.unsupported(fmt::format(
        "cuts text by expressions that malina does not know, the last is {}", in_quotes(last_)));
  }

 private:
  const Steps& steps_;
  std::string lines_, last_;
  bool around_ = false, must_match_all_ = false;
};

constexpr const char* kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

void read_byte_level(const Steps& steps, const TokenizerJson& tokenizer, TokenizerRules& rules) {
  Expressions expressions(steps);
  bool done = false;
  for (const json* step : steps) {
    const std::string_view type = Steps::type(*step);
    if (done) steps.unsupported(fmt::format("of type {} stands behind ByteLevel", in_quotes(type)));
    if (type == "Split") {
      expressions.add_split(*step);
    } else if (type == "Digits") {
      expressions.add(steps.boolean(*step, "individual_digits", false) ? "\\p{N}" : "\\p{N}+");
    } else if (type == "ByteLevel") {
      if (steps.boolean(*step, "add_prefix_space", true))
        steps.unsupported("of type ByteLevel has add_prefix_space set, which malina does not do");
      if (steps.boolean(*step, "use_regex", true)) expressions.add(kGpt2);
      done = true;
    } else {
      steps.unsupported_type(*step);
    }
  }
  rules.pre = expressions.name(rules.composed, tokenizer.ignore_merges);
}

void read_metaspace(const Steps& steps, const json& step, TokenizerRules& rules) {
  if (steps.text(step, "replacement") != kMark)
    steps.unsupported("of type Metaspace marks spaces by something other than U+2581");
  rules.splits_words = steps.boolean(step, "split", true);
  const std::string scheme = step.contains("prepend_scheme") ? steps.text(step, "prepend_scheme")
                             : steps.boolean(step, "add_prefix_space", true) ? "always"
                                                                             : "never";
  if (scheme != "always" && scheme != "first" && scheme != "never")
    steps.corrupt(fmt::format("of type Metaspace has the prepend_scheme {}", in_quotes(scheme)));
  if (scheme == "never") return;
  if (rules.prepends)
    steps.unsupported("of type Metaspace prepends what a normalizer prepends too");
  rules.space_prefix = true;
  rules.prefix =
      scheme == "first" ? SpacePrefix::text_unless_space : SpacePrefix::segment_unless_space;
}

void read_sentence_piece(const Steps& steps, const Normalizer& normalizer, TokenizerRules& rules) {
  bool marked = normalizer.replaces;
  rules.prepends = rules.space_prefix = normalizer.prepends;
  if (normalizer.composed)
    steps.unsupported("beside the normalizer NFC, which malina has for byte-level models alone");
  for (const json* step : steps) {
    const std::string_view type = Steps::type(*step);
    if (type == "Metaspace") {
      read_metaspace(steps, *step, rules);
      marked = true;
    } else if (type == "Split" && normalizer.replaces && read_pattern(steps, *step).text == " ") {
      continue;  // Gemma's: there are no spaces any more
    } else {
      steps.unsupported_type(*step);
    }
  }
  if (!marked)
    steps.unsupported("is neither ByteLevel nor Metaspace, nor does a normalizer mark spaces");
}

// The only id of a special token of the template.
Token id_of(const Steps& steps, const json& processor, const json& special) {
  const auto named = special.is_object() ? special.find("id") : special.end();
  if (named == special.end() || !named->is_string())
    steps.corrupt("of type TemplateProcessing has a token without id");
  const std::string text = named->get<std::string>();
  const json& specials = steps.field(processor, "special_tokens");
  const auto found = specials.is_object() ? specials.find(text) : specials.end();
  if (found == specials.end() || !found->is_object() || !found->contains("ids") ||
      !found->at("ids").is_array())
    steps.corrupt(
        fmt::format("of type TemplateProcessing does not say the ids of {}", in_quotes(text)));
  const json& ids = found->at("ids");
  if (ids.size() != 1) steps.unsupported("of type TemplateProcessing adds a text of many tokens");
  if (!ids[0].is_number_unsigned() || ids[0].get<std::uint64_t>() >= kMostTokens)
    steps.corrupt(fmt::format("of type TemplateProcessing has a bad id for {}", in_quotes(text)));
  return static_cast<Token>(ids[0].get<std::uint64_t>());
}

void read_template(const Steps& steps, const json& processor, TokenizerRules& rules) {
  const json& single = steps.field(processor, "single");
  if (!single.is_array()) steps.corrupt("of type TemplateProcessing: single is not an array");
  bool text = false;
  for (const json& part : single) {
    if (part.is_object() && part.contains("Sequence")) {
      if (text) steps.unsupported("of type TemplateProcessing repeats the text");
      text = true;
      continue;
    }
    if (!part.is_object() || !part.contains("SpecialToken"))
      steps.corrupt("of type TemplateProcessing has a part that is neither token nor text");
    std::optional<Token>& place = text ? rules.last : rules.first;
    if (place) steps.unsupported("of type TemplateProcessing adds more than one token at one end");
    place = id_of(steps, processor, part.at("SpecialToken"));
  }
  if (!text) steps.corrupt("of type TemplateProcessing leaves the text out");
}

void read_post_processor(const json& processor, const std::string& name, TokenizerRules& rules) {
  const Steps steps(processor, "a post_processor", "processors", name);
  for (const json* step : steps) {
    if (Steps::type(*step) == "TemplateProcessing")
      read_template(steps, *step, rules);
    else if (Steps::type(*step) != "ByteLevel")  // changes offsets alone
      steps.unsupported_type(*step);
  }
}

void check_decoder(const json& decoder, const TokenizerRules& rules, const std::string& name) {
  const Steps steps(decoder, "a decoder", "decoders", name);
  for (const json* step : steps) {
    const std::string_view type = Steps::type(*step);
    const bool known = rules.byte_level
                           ? type == "ByteLevel"
                           : type == "Replace" || type == "ByteFallback" || type == "Fuse" ||
                                 type == "Strip" || type == "Metaspace";
    if (!known) steps.unsupported_type(*step);
    if (type != "Replace") continue;
    const Pattern pattern = read_pattern(steps, *step);
    if (pattern.text != kMark || steps.text(*step, "content") != " ")
      steps.unsupported("of type Replace does something other than U+2581 to a space");
  }
}

}  // namespace

TokenizerRules read_rules(const TokenizerJson& tokenizer, const std::string& name) {
  TokenizerRules rules;
  const Normalizer normalizer = read_normalizer(tokenizer.normalizer, name);
  const Steps steps(tokenizer.pre_tokenizer, "a pre_tokenizer", "pretokenizers", name);
  for (const json* step : steps) rules.byte_level |= Steps::type(*step) == "ByteLevel";
  if (rules.byte_level) {
    if (normalizer.prepends || normalizer.replaces)
      steps.unsupported("of type ByteLevel behind a normalizer that marks spaces");
    rules.composed = normalizer.composed;
    read_byte_level(steps, tokenizer, rules);
  } else {
    read_sentence_piece(steps, normalizer, rules);
  }
  read_post_processor(tokenizer.post_processor, name, rules);
  check_decoder(tokenizer.decoder, rules, name);
  return rules;
}

}  // namespace malina::text
