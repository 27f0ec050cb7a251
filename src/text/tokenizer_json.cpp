#include "text/tokenizer_json.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "format/quote.h"

namespace malina::text {
namespace {

using base::Error;
using base::Fault;
using format::in_quotes;
using nlohmann::json;

constexpr std::size_t kMostBytes = std::size_t{256} << 20;  // of the file; the largest have 35 MB
constexpr std::size_t kMostValues = std::size_t{1} << 20;   // beside vocabulary and merges
constexpr std::size_t kMostMerges = std::size_t{1} << 23;
constexpr std::size_t kMostDepth = 64;

// The vocabulary and the merges, which are nearly all of the file, go where they belong at once;
// everything else becomes a document. A false answer ends the parsing.
class Handler final : public json::json_sax_t {
 public:
  bool null() override { return value(nullptr); }
  bool boolean(bool truth) override { return value(truth); }
  bool number_integer(number_integer_t number) override { return value(number); }
  bool number_float(number_float_t number, const string_t&) override { return value(number); }
  bool binary(binary_t&) override { return refuse("it holds binary data"); }

  bool number_unsigned(number_unsigned_t number) override {
    if (part_ != Part::vocabulary) return value(number);
    if (number >= kMostTokens)
      return refuse(fmt::format("model.vocab: token {} has the id {}, more than malina reads",
                                in_quotes(token_), number));
    parsed.vocabulary.push_back({std::move(token_), number});
    return true;
  }

  bool string(string_t& text) override {
    if (part_ != Part::merges) return value(std::move(text));
    if (inner_ == 0) return line(text);
    pair_.push_back(std::move(text));
    return pair_.size() <= 2 || bad_merge();
  }

  bool key(string_t& name) override {
    if (part_ == Part::vocabulary) {
      token_ = std::move(name);
      return true;
    }
    if (part_ != Part::other) return true;
    auto& object = stack_.back()->get_ref<json::object_t&>();
    const auto [place, added] = object.emplace(name, nullptr);
    if (!added) return refuse(fmt::format("key {} stands twice in one object", in_quotes(name)));
    if (stack_.size() == 1) in_model_ = name == "model";
    member_ = &place->second;
    key_ = name;
    return true;
  }

  bool start_object(std::size_t) override {
    if (part_ != Part::other) return nested();
    if (at_model_key("vocab")) return enter(Part::vocabulary);
    return open(json::object());
  }
  bool start_array(std::size_t) override {
    if (part_ == Part::merges && inner_ == 0) {
      pair_.clear();
      inner_ = 1;
      return true;
    }
    if (part_ != Part::other) return nested();
    if (at_model_key("merges")) return enter(Part::merges);
    if (at_model_key("vocab")) return enter(Part::skipped);  // Unigram's: refused by its type
    return open(json::array());
  }
  bool end_object() override { return close(); }
  bool end_array() override {
    if (part_ == Part::merges && inner_ == 1) {
      inner_ = 0;
      return pair_.size() == 2 ? merge(pair_[0], pair_[1]) : bad_merge();
    }
    return close();
  }

  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    return refuse(fmt::format("it is not valid JSON, at byte {}", position));
  }

  TokenizerJson parsed;
  json document;
  std::string cause;

 private:
  enum class Part { other, vocabulary, merges, skipped };

  bool refuse(std::string why) {
    if (cause.empty()) cause = std::move(why);
    return false;
  }
  bool bad_merge() {
    return refuse(fmt::format("model.merges: entry {} is not two pieces", parsed.merges.size()));
  }

  bool at_model_key(std::string_view name) const {
    return in_model_ && stack_.size() == 2 && stack_.back()->is_object() && key_ == name;
  }
  bool enter(Part part) {
    // That it stood there is kept in the document.
    *member_ = part == Part::vocabulary ? json::object() : json::array();
    part_ = part;
    return true;
  }
  bool nested() {
    if (part_ == Part::vocabulary)
      return refuse(
          fmt::format("model.vocab: token {} has an id that is no number", in_quotes(token_)));
    if (part_ == Part::merges) return bad_merge();
    return ++inner_ < kMostDepth || refuse("its values are nested too deep");
  }

  bool value(json leaf) {
    switch (part_) {
      case Part::vocabulary:
        return refuse(fmt::format("model.vocab: token {} has an id that is no natural number",
                                  in_quotes(token_)));
      case Part::merges:
        return bad_merge();
      case Part::skipped:
        return true;
      case Part::other:
        break;
    }
    return place(std::move(leaf)) != nullptr;
  }

  // As tokenizers reads it: two pieces with one space between them.
  bool line(const std::string& text) {
    const std::size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos)
      return bad_merge();
    return merge(std::string_view(text).substr(0, space), std::string_view(text).substr(space + 1));
  }
  bool merge(std::string_view left, std::string_view right) {
    if (left.empty() || right.empty()) return bad_merge();
    if (parsed.merges.size() >= kMostMerges) return refuse("model.merges has too many entries");
    std::string text;
    text.reserve(left.size() + 1 + right.size());
    text.append(left).append(1, ' ').append(right);
    parsed.merges.push_back({std::move(text), left.size()});
    return true;
  }

  bool open(json container) {
    if (stack_.size() >= kMostDepth) return refuse("its values are nested too deep");
    json* const placed = place(std::move(container));
    if (placed != nullptr) stack_.push_back(placed);
    return placed != nullptr;
  }
  bool close() {
    if (part_ == Part::other) {
      stack_.pop_back();
    } else if (inner_ > 0) {
      --inner_;
    } else {
      part_ = Part::other;
    }
    return true;
  }

  // Where the value stands now; a container is not moved while it is filled.
  json* place(json made) {
    if (++values_ > kMostValues) {
      refuse("it holds too many values");
      return nullptr;
    }
    if (stack_.empty()) {
      document = std::move(made);
      return &document;
    }
    if (stack_.back()->is_object()) {
      *member_ = std::move(made);
      return member_;
    }
    auto& array = stack_.back()->get_ref<json::array_t&>();
    array.push_back(std::move(made));
    return &array.back();
  }

  std::vector<json*> stack_;
  json* member_ = nullptr;  // of the object that is being filled
  std::string key_;         // the last key of the document
  bool in_model_ = false;
  Part part_ = Part::other;
  std::size_t inner_ = 0;  // containers inside of the part
  std::string token_;
  std::vector<std::string> pair_;
  std::size_t values_ = 0;
};

// Reads the fields of `model` into the parsed tokenizer.
class ModelReader {
 public:
  ModelReader(const json& model, const std::string& name) : model_(model), name_(name) {}

  void read(TokenizerJson& parsed) const {
    const json& type = field("type");
    // Files of old leave the type out; BPE is known by its merges.
    if (!type.is_null() && type != "BPE")
      unsupported(fmt::format(
          "model.type is {}, and malina reads BPE alone",
          type.is_string() ? in_quotes(type.get_ref<const std::string&>()) : "no text"));
    if (!field("vocab").is_object()) corrupt("model.vocab is not an object");
    if (parsed.vocabulary.empty()) corrupt("model.vocab is empty");
    if (!field("merges").is_array()) corrupt("model.merges is not an array");
    if (const json& dropout = field("dropout"); !dropout.is_null() && dropout != 0)
      unsupported("model.dropout is set, which cuts text at random");
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (const json& mark = field(key); !mark.is_null() && mark != "")
        unsupported(fmt::format("model.{} is set, which malina does not do", key));
    const json& unknown = field("unk_token");
    if (unknown.is_string())
      parsed.unknown = unknown.get<std::string>();
    else if (!unknown.is_null())
      corrupt("model.unk_token is no text");
    parsed.fuse_unknown = boolean("fuse_unk");
    parsed.byte_fallback = boolean("byte_fallback");
    parsed.ignore_merges = boolean("ignore_merges");
  }

 private:
  const json& field(const char* key) const {
    static const json kNull;
    const auto found = model_.find(key);
    return found == model_.end() ? kNull : *found;
  }
  bool boolean(const char* key) const {
    const json& value = field(key);
    if (value.is_null()) return false;
    if (!value.is_boolean()) corrupt(fmt::format("model.{} is neither true nor false", key));
    return value.get<bool>();
  }
  [[noreturn]] void corrupt(const std::string& cause) const {
    throw Error(Fault::corrupt_file, name_ + ": " + cause);
  }
  [[noreturn]] void unsupported(const std::string& cause) const {
    throw Error(Fault::unsupported, name_ + ": " + cause);
  }

  const json& model_;
  const std::string& name_;
};

json take(json& document, const char* key) {
  const auto found = document.find(key);
  return found == document.end() ? json() : std::move(*found);
}

void read_added(const json& list, const std::string& name, TokenizerJson& parsed) {
  if (list.is_null()) return;
  if (!list.is_array()) throw Error(Fault::corrupt_file, name + ": added_tokens is not an array");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string where = fmt::format("{}: added_tokens: entry {}", name, i);
    AddedToken token = read_added_token(list[i], where);
    const auto id = list[i].find("id");
    if (id == list[i].end() || !id->is_number_unsigned() || id->get<std::uint64_t>() >= kMostTokens)
      throw Error(Fault::corrupt_file, where + " has an id that is no token's");
    token.id = id->get<std::uint64_t>();
    parsed.added.push_back(std::move(token));
  }
}

}  // namespace

AddedToken read_added_token(const json& fields, const std::string& where) {
  if (!fields.is_object()) throw Error(Fault::corrupt_file, where + " is not an object");
  AddedToken token;
  const auto content = fields.find("content");
  if (content == fields.end() || !content->is_string())
    throw Error(Fault::corrupt_file, where + " has no content");
  token.content = content->get<std::string>();
  const auto boolean = [&](const char* key, bool usual) {
    const auto found = fields.find(key);
    if (found == fields.end()) return usual;
    if (!found->is_boolean())
      throw Error(Fault::corrupt_file, fmt::format("{}: {} is neither true nor false", where, key));
    return found->get<bool>();
  };
  token.special = boolean("special", false);
  token.normalized = boolean("normalized", !token.special);
  token.strip_left = boolean("lstrip", false);
  token.strip_right = boolean("rstrip", false);
  token.single_word = boolean("single_word", false);
  return token;
}

TokenizerJson parse_tokenizer_json(std::string_view text, const std::string& name) {
  if (text.size() > kMostBytes)
    throw Error(Fault::unsupported,
                fmt::format("{}: it has {} bytes, more than malina reads", name, text.size()));
  // The parser takes a zero for the end of the text.
  if (const auto zero = text.find('\0'); zero != std::string_view::npos)
    throw Error(Fault::corrupt_file,
                fmt::format("{}: it is not valid JSON, at byte {}", name, zero + 1));
  Handler handler;
  if (!json::sax_parse(text, &handler))
    throw Error(Fault::corrupt_file, fmt::format("{}: {}", name, handler.cause));
  json& document = handler.document;
  if (!document.is_object()) throw Error(Fault::corrupt_file, name + ": it is not an object");
  const auto model = document.find("model");
  if (model == document.end() || !model->is_object())
    throw Error(Fault::corrupt_file, name + ": model is missing or not an object");
  TokenizerJson parsed = std::move(handler.parsed);
  ModelReader(*model, name).read(parsed);
  read_added(take(document, "added_tokens"), name, parsed);
  parsed.normalizer = take(document, "normalizer");
  parsed.pre_tokenizer = take(document, "pre_tokenizer");
  parsed.post_processor = take(document, "post_processor");
  parsed.decoder = take(document, "decoder");
  return parsed;
}

}  // namespace malina::text
