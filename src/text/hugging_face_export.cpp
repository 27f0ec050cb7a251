#include "text/hugging_face_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/hugging_face_settings.h"
#include "text/pre_tokenizer.h"
#include "text/vocabulary.h"

namespace malina::text {
namespace {

using base::Error;
using base::Fault;
using format::Metadata;
using Json = nlohmann::ordered_json;

constexpr const char* kMark = "▁";

// A protocol buffer, as far as sentencepiece_model.proto needs it.
class Message {
 public:
  void text(unsigned field, std::string_view value) {
    head(field, 2);
    varint(value.size());
    bytes_ += value;
  }
  void integer(unsigned field, std::uint64_t value) {
    head(field, 0);
    varint(value);
  }
  void number(unsigned field, float value) {
    head(field, 5);
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);  // both are little-endian
    bytes_.append(raw, sizeof raw);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void head(unsigned field, unsigned type) { varint(field << 3 | type); }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

std::string written(const Json& document) {
  try {
    return document.dump(2) + "\n";
  } catch (const Json::type_error& error) {
    throw Error(
        Fault::unsupported,
        fmt::format("a piece of the vocabulary or a chat template is not valid UTF-8, which "
                    "JSON must be ({})",
                    error.what()));
  }
}

class Exporter {
 public:
  explicit Exporter(const Metadata& metadata)
      : metadata_(metadata),
        byte_level_(metadata.text("tokenizer.ggml.model") == "gpt2"),
        vocabulary_(read_vocabulary(metadata, !byte_level_)) {}

  ExportedTokenizer run() {
    const bool by_merges = byte_level_ || metadata_.array("malina.tokenizer.merges") != nullptr;
    ExportedTokenizer result;
    if (by_merges)
      result.files.push_back({"tokenizer.json", written(tokenizer_json())});
    else
      result.files.push_back({"tokenizer.model", tokenizer_model()});
    result.files.push_back({"tokenizer_config.json", written(config(by_merges))});
    if (vocabulary_.bos) result.bos.push_back(id(*vocabulary_.bos));
    for (const std::uint64_t end : end_ids()) result.eos.push_back(end);
    if (const auto padding = metadata_.integer("tokenizer.ggml.padding_token_id"))
      result.padding.push_back(*padding);
    return result;
  }

 private:
  static std::uint64_t id(Token token) { return static_cast<std::uint64_t>(token); }
  std::size_t size() const { return vocabulary_.kinds.size(); }
  std::string text(Token token) const { return std::string(vocabulary_.piece(token)); }

  // Those that the model's files name; the first is the tokenizer's own.
  std::vector<std::uint64_t> end_ids() const {
    std::vector<std::uint64_t> ids;
    const auto add = [&](std::uint64_t token) {
      if (token < size() && std::ranges::find(ids, token) == ids.end()) ids.push_back(token);
    };
    if (vocabulary_.eos) add(id(*vocabulary_.eos));
    for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"})
      if (const auto token = metadata_.integer(key)) add(*token);
    if (const auto* more = metadata_.array("malina.tokenizer.end_token_ids"))
      for (const std::int64_t token : more->integers) add(static_cast<std::uint64_t>(token));
    return ids;
  }

  bool is_added(Token token) const {
    const TokenKind kind = vocabulary_.kind(token);
    return kind == TokenKind::control || kind == TokenKind::user_defined;
  }
  // What fills a vocabulary up to the rows of the matrices; config.json's vocab_size says it.
  bool is_filler(Token token) const {
    return vocabulary_.kind(token) == TokenKind::unused &&
           text(token) == fmt::format("[PAD{}]", token);
  }

  Json added_token(Token token) const {
    return {{"content", text(token)},
            {"single_word", false},
            {"lstrip", vocabulary_.has(token, kStripLeft)},
            {"rstrip", vocabulary_.has(token, kStripRight)},
            {"normalized", vocabulary_.has(token, kNormalized)},
            {"special", vocabulary_.kind(token) == TokenKind::control}};
  }

  template <typename Visit>
  void for_each_token(const Visit& visit) const {
    for (std::size_t i = 0; i < size(); ++i) visit(static_cast<Token>(i));
  }

  Json tokenizer_json() const {
    Json added = Json::array();
    for_each_token([&](Token token) {
      if (!is_added(token)) return;
      Json entry{{"id", token}};
      entry.update(added_token(token));
      added.push_back(std::move(entry));
    });
    return {{"version", "1.0"},
            {"truncation", nullptr},
            {"padding", nullptr},
            {"added_tokens", std::move(added)},
            {"normalizer", normalizer()},
            {"pre_tokenizer", byte_level_ ? byte_level_cuts() : metaspace()},
            {"post_processor", post_processor()},
            {"decoder", decoder()},
            {"model", model()}};
  }

  Json model() const {
    Json pieces = Json::object();
    for_each_token([&](Token token) {
      // Without the search for an equal key, of which there is none, that Json's own insertion
      // makes.
      if (!is_added(token) && !is_filler(token))
        pieces.get_ref<Json::object_t&>().emplace_back(text(token), token);
    });
    Json merges = Json::array();
    const char* const key = byte_level_ ? "tokenizer.ggml.merges" : "malina.tokenizer.merges";
    if (const auto* list = metadata_.array(key))
      for (const std::string_view merge : list->strings) merges.push_back(std::string(merge));
    const bool has_unknown = !byte_level_ && vocabulary_.unknown;
    return {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", has_unknown ? Json(text(*vocabulary_.unknown)) : Json()},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", !byte_level_},
            {"byte_fallback", !byte_level_},
            {"ignore_merges", ignores_merges()},
            {"vocab", std::move(pieces)},
            {"merges", std::move(merges)}};
  }

  const PreTokenizer& rule() const {
    const auto name = metadata_.text("tokenizer.ggml.pre").value_or("default");
    if (const PreTokenizer* found = PreTokenizer::find(name)) return *found;
    throw Error(Fault::unsupported,
                fmt::format("tokenizer.ggml.pre '{}' is not a rule that malina has", name));
  }
  bool ignores_merges() const {
    if (!byte_level_) return false;
    return metadata_.boolean("malina.tokenizer.ignore_merges").value_or(rule().ignore_merges);
  }
  bool composes() const {
    return metadata_.boolean("malina.tokenizer.composed").value_or(rule().composed);
  }

  Json normalizer() const {
    if (byte_level_) return composes() ? Json{{"type", "NFC"}} : Json();
    if (!normalizes()) return {};
    Json steps = Json::array();
    if (puts_space() && vocabulary_.prefix == SpacePrefix::segment)
      steps.push_back({{"type", "Prepend"}, {"prepend", kMark}});
    steps.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kMark}});
    return {{"type", "Sequence"}, {"normalizers", std::move(steps)}};
  }

  bool puts_space() const { return vocabulary_.add_space_prefix.value_or(!byte_level_); }
  // Otherwise a pre_tokenizer marks the spaces.
  bool normalizes() const { return !puts_space() || vocabulary_.prefix == SpacePrefix::segment; }

  Json metaspace() const {
    if (normalizes()) return {};
    const bool first = vocabulary_.prefix == SpacePrefix::text_unless_space;
    if (!first && vocabulary_.prefix != SpacePrefix::segment_unless_space)
      throw Error(Fault::unsupported,
                  "tokenizer.json has no words for a space at the beginning of a text alone");
    return {{"type", "Metaspace"},
            {"replacement", kMark},
            {"prepend_scheme", first ? "first" : "always"},
            {"split", false}};
  }

  Json byte_level_cuts() const {
    const auto name = metadata_.text("tokenizer.ggml.pre").value_or("default");
    const std::string expressions = pre_tokenizer_expressions(name);
    if (expressions.empty())
      throw Error(
          Fault::unsupported,
          fmt::format("the rule '{}' of tokenizer.ggml.pre cannot be written as expressions "
                      "of a tokenizer.json",
                      name));
    Json steps = Json::array();
    for (std::size_t first = 0; first <= expressions.size();) {
      const std::size_t end = std::min(expressions.find('\n', first), expressions.size());
      steps.push_back({{"type", "Split"},
                       {"pattern", {{"Regex", expressions.substr(first, end - first)}}},
                       {"behavior", "Isolated"},
                       {"invert", false}});
      first = end + 1;
    }
    steps.push_back({{"type", "ByteLevel"},
                     {"add_prefix_space", false},
                     {"trim_offsets", true},
                     {"use_regex", false}});
    return {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
  }

  bool adds_bos() const {
    return vocabulary_.bos && vocabulary_.add_bos.value_or(byte_level_ ? rule().add_bos : true);
  }
  bool adds_eos() const { return vocabulary_.eos && vocabulary_.add_eos.value_or(false); }

  Json post_processor() const {
    if (!adds_bos() && !adds_eos()) return {};
    Json single = Json::array(), pair = Json::array(), specials = Json::object();
    const auto special = [&](Token token, int type) -> Json {
      const std::string name = text(token);
      specials[name] = {{"id", name}, {"ids", {token}}, {"tokens", {name}}};
      return {{"SpecialToken", {{"id", name}, {"type_id", type}}}};
    };
    for (const int type : {0, 1}) {
      const char* const part = type == 0 ? "A" : "B";
      Json pieces = Json::array();
      if (adds_bos()) pieces.push_back(special(*vocabulary_.bos, type));
      pieces.push_back({{"Sequence", {{"id", part}, {"type_id", type}}}});
      if (adds_eos()) pieces.push_back(special(*vocabulary_.eos, type));
      if (type == 0) single = pieces;
      pair.insert(pair.end(), pieces.begin(), pieces.end());
    }
    return {{"type", "TemplateProcessing"},
            {"single", std::move(single)},
            {"pair", std::move(pair)},
            {"special_tokens", std::move(specials)}};
  }

  Json decoder() const {
    if (byte_level_)
      return {{"type", "ByteLevel"},
              {"add_prefix_space", true},
              {"trim_offsets", true},
              {"use_regex", true}};
    Json steps = Json::array();
    steps.push_back({{"type", "Replace"}, {"pattern", {{"String", kMark}}}, {"content", " "}});
    steps.push_back({{"type", "ByteFallback"}});
    steps.push_back({{"type", "Fuse"}});
    if (puts_space())
      steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    return {{"type", "Sequence"}, {"decoders", std::move(steps)}};
  }

  // Field numbers and values: sentencepiece_model.proto of google/sentencepiece.
  std::string tokenizer_model() const {
    Message model;
    const auto* scores = metadata_.array("tokenizer.ggml.scores");
    // A piece's place is its id, so only those at the end can be left out.
    std::size_t end = size();
    while (end > 0 && is_filler(static_cast<Token>(end - 1))) --end;
    for_each_token([&](Token token) {
      const auto place = static_cast<std::size_t>(token);
      if (place >= end) return;
      Message piece;
      piece.text(1, vocabulary_.piece(token));
      piece.number(
          2, scores != nullptr && place < scores->numbers.size() ? scores->numbers[place] : 0);
      piece.integer(3, static_cast<std::uint64_t>(vocabulary_.kind(token)));
      model.text(1, piece.bytes());
    });
    constexpr std::uint64_t kBpe = 2, kNone = ~std::uint64_t{0};
    const auto id_or_none = [](const std::optional<Token>& token) {
      return token ? static_cast<std::uint64_t>(*token) : kNone;
    };
    Message trainer;
    trainer.integer(3, kBpe);
    trainer.integer(4, size());
    trainer.integer(35, 1);  // byte_fallback
    trainer.integer(40, id_or_none(vocabulary_.unknown));
    trainer.integer(41, id_or_none(vocabulary_.bos));
    trainer.integer(42, id_or_none(vocabulary_.eos));
    trainer.integer(43, metadata_.integer("tokenizer.ggml.padding_token_id").value_or(kNone));
    model.text(2, trainer.bytes());
    Message normalizer;
    normalizer.text(1, "identity");
    normalizer.integer(3, puts_space() ? 1 : 0);
    normalizer.integer(4, 0);  // remove_extra_whitespaces
    model.text(3, normalizer.bytes());
    return model.bytes();
  }

  Json config(bool by_merges) const {
    Json result{{"tokenizer_class", by_merges ? "PreTrainedTokenizerFast" : "LlamaTokenizer"},
                {"add_bos_token", adds_bos()},
                {"add_eos_token", adds_eos()}};
    if (!byte_level_) result["add_prefix_space"] = puts_space();
    if (!by_merges) result["legacy"] = vocabulary_.prefix != SpacePrefix::text;
    for (const SpecialRole& role : kSpecialRoles)
      if (const auto token = metadata_.integer(role.key); token && *token < size())
        result[fmt::format("{}_token", role.name)] = text(static_cast<Token>(*token));
    Json decoder = Json::object();
    for_each_token([&](Token token) {
      if (is_added(token)) decoder[std::to_string(token)] = added_token(token);
    });
    result["added_tokens_decoder"] = std::move(decoder);
    result["clean_up_tokenization_spaces"] = false;
    if (Json templates = chat_templates(); !templates.is_null())
      result["chat_template"] = std::move(templates);
    return result;
  }

  // One alone is a text, several are a list with their names.
  Json chat_templates() const {
    constexpr std::string_view kKey = "tokenizer.chat_template";
    Json list = Json::array();
    for (const auto& entry : metadata_.entries()) {
      std::string_view rest = entry.key;
      if (!rest.starts_with(kKey)) continue;
      rest.remove_prefix(kKey.size());
      if (!rest.empty() && rest.front() != '.') continue;
      const std::string name(rest.empty() ? "default" : rest.substr(1));
      list.push_back({{"name", name}, {"template", std::string(*metadata_.text(entry.key))}});
    }
    if (list.empty()) return {};
    if (list.size() == 1 && list[0]["name"] == "default") return list[0]["template"];
    return list;
  }

  const Metadata& metadata_;
  const bool byte_level_;
  const Vocabulary vocabulary_;
};

}  // namespace

ExportedTokenizer export_hugging_face_tokenizer(const Metadata& metadata) {
  const auto model = metadata.text("tokenizer.ggml.model");
  if (model != "gpt2" && model != "llama")
    throw Error(Fault::unsupported,
                fmt::format("a tokenizer of kind '{}' is not written", model.value_or("none")));
  return Exporter(metadata).run();
}

}  // namespace malina::text
