#include "text/hugging_face_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "format/quote.h"
#include "text/hugging_face_settings.h"
#include "text/hugging_face_vocabulary.h"
#include "text/piece_table.h"
#include "text/sentence_piece_model.h"
#include "text/tokenizer_json_rules.h"

namespace malina::text {
namespace {

using base::Error;
using base::Fault;
using format::in_quotes;
using format::MetadataBuilder;

std::string template_key(std::string_view name) {
  std::string key = "tokenizer.chat_template.";
  for (const char c : name) {  // as the gguf package spells it
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    key += plain ? c : '_';
  }
  return key;
}

void add_templates(const TokenizerSettings& settings, MetadataBuilder& metadata) {
  std::vector<std::string> names;
  for (const auto& [name, text] : settings.templates) {
    if (name == "default") continue;
    const std::string key = template_key(name);
    if (metadata.contains(key))
      throw Error(Fault::unsupported,
                  fmt::format("two chat templates have nearly the same name, the second is {}",
                              in_quotes(name)));
    metadata.add_text(key, text);
    names.push_back(name);
  }
  if (!names.empty()) metadata.add_texts("tokenizer.chat_templates", std::move(names));
  for (const auto& [name, text] : settings.templates)
    if (name == "default") metadata.add_text("tokenizer.chat_template", text);
}

// Joins what the files say and writes it as metadata.
class TokenizerWriter {
 public:
  TokenizerWriter(const HuggingFaceFiles& files, MetadataBuilder& metadata)
      : files_(files),
        metadata_(metadata),
        settings_(read_settings(files)),
        vocabulary_(settings_.warnings) {}

  void write() {
    if (files_.tokenizer_json)
      write_tokenizer_json(*files_.tokenizer_json);
    else if (files_.tokenizer_model)
      write_tokenizer_model(*files_.tokenizer_model);
    else
      throw Error(Fault::not_found, "there is neither tokenizer.json nor tokenizer.model");
    add_templates(settings_, metadata_);
    if (!settings_.warnings.empty())
      metadata_.add_texts("malina.tokenizer.warnings", settings_.warnings);
  }

 private:
  void write_tokenizer_json(const HuggingFaceFiles::File& file) {
    TokenizerJson tokenizer = parse_tokenizer_json(file.text, file.name);
    const TokenizerRules rules = read_rules(tokenizer, file.name);
    vocabulary_.take(tokenizer, rules, file.name);
    finish_vocabulary(rules.normalizes_tokens());
    const PieceTable pieces = vocabulary_.table(file.name);
    const std::vector<Token> results =
        vocabulary_.check_merges(tokenizer, pieces, rules, file.name);
    std::vector<float> scores;
    if (!rules.byte_level) scores = vocabulary_.scores_of_merges(results);
    if (files_.tokenizer_model) compare_model(*files_.tokenizer_model, rules, scores);

    metadata_.add_text("tokenizer.ggml.model", rules.byte_level ? "gpt2" : "llama");
    metadata_.add_text("tokenizer.ggml.pre", rules.byte_level ? rules.pre : "default");
    add_tokens(std::move(scores));
    std::vector<std::string> merges;
    merges.reserve(tokenizer.merges.size());
    for (auto& merge : tokenizer.merges) merges.push_back(std::move(merge.text));
    metadata_.add_texts(rules.byte_level ? "tokenizer.ggml.merges" : "malina.tokenizer.merges",
                        std::move(merges));
    add_rules(tokenizer, rules);
    // What a post_processor adds is what the model knows it as, unless a file names another.
    if (rules.first) model_ids_.emplace("bos", static_cast<std::uint64_t>(*rules.first));
    if (rules.last) model_ids_.emplace("eos", static_cast<std::uint64_t>(*rules.last));
    add_specials(tokenizer.unknown, pieces);
    add_beginnings(rules, file.name);
  }

  void write_tokenizer_model(const HuggingFaceFiles::File& file) {
    const SentencePieceModel model =
        parse_sentence_piece_model(std::as_bytes(std::span(file.text)), file.name);
    vocabulary_.take(model);
    finish_vocabulary(false);
    const PieceTable pieces = vocabulary_.table(file.name);
    metadata_.add_text("tokenizer.ggml.model", "llama");
    metadata_.add_text("tokenizer.ggml.pre", "default");
    add_tokens(vocabulary_.scores());
    add_flags();
    metadata_.add_boolean("tokenizer.ggml.add_space_prefix",
                          settings_.space_prefix.value_or(model.space_prefix));
    if (settings_.legacy == false) metadata_.add_text("malina.tokenizer.space_prefix", "text");
    for (const auto& [role, id] :
         {std::pair{"bos", model.bos}, std::pair{"eos", model.eos},
          std::pair{"unk", std::optional(model.unknown)}, std::pair{"pad", model.padding}})
      if (id) model_ids_.emplace(role, static_cast<std::uint64_t>(*id));
    add_specials(std::nullopt, pieces);
    if (settings_.add_bos)
      metadata_.add_boolean("tokenizer.ggml.add_bos_token", *settings_.add_bos);
    if (settings_.add_eos)
      metadata_.add_boolean("tokenizer.ggml.add_eos_token", *settings_.add_eos);
  }

  // Tokens that stand elsewhere, and the length that config.json asks for.
  void finish_vocabulary(bool normalizes) {
    for (const AddedToken& token : settings_.old_added)
      vocabulary_.add_old(token, files_.added_tokens->name);
    for (const AddedToken& token : settings_.added)
      vocabulary_.add(token, normalizes, files_.tokenizer_config->name);
    vocabulary_.make_special(settings_.specials, settings_.more_specials);
    vocabulary_.resize(settings_.vocabulary_size);
  }

  void add_tokens(std::vector<float> scores) {
    metadata_.add_texts("tokenizer.ggml.tokens", vocabulary_.texts());
    if (!scores.empty()) metadata_.add_numbers("tokenizer.ggml.scores", std::move(scores));
    metadata_.add_integers("tokenizer.ggml.token_type", vocabulary_.kinds());
  }

  // Lists of malina's own, which are there even when empty: that says they are known.
  void add_flags() {
    metadata_.add_integers("malina.tokenizer.strip_left", vocabulary_.with(kStripLeft));
    metadata_.add_integers("malina.tokenizer.strip_right", vocabulary_.with(kStripRight));
  }

  void add_rules(const TokenizerJson& tokenizer, const TokenizerRules& rules) {
    add_flags();
    if (rules.byte_level) {
      metadata_.add_boolean("malina.tokenizer.ignore_merges", tokenizer.ignore_merges);
      metadata_.add_boolean("malina.tokenizer.composed", rules.composed);
      return;
    }
    if (auto ids = vocabulary_.with(kNormalized); !ids.empty())
      metadata_.add_integers("malina.tokenizer.normalized", std::move(ids));
    metadata_.add_boolean("tokenizer.ggml.add_space_prefix", rules.space_prefix);
    if (rules.prefix == SpacePrefix::segment_unless_space)
      metadata_.add_text("malina.tokenizer.space_prefix", "segment-unless-space");
    if (rules.prefix == SpacePrefix::text_unless_space)
      metadata_.add_text("malina.tokenizer.space_prefix", "text-unless-space");
  }

  void add_specials(const std::optional<std::string>& unknown, const PieceTable& pieces) {
    if (unknown) settings_.specials.insert_or_assign("unk", *unknown);
    for (const SpecialRole& role : kSpecialRoles)
      if (const auto id = id_of(role, pieces)) metadata_.add_integer(role.key, *id);
    std::vector<std::int64_t> ends;
    for (const std::uint64_t id : settings_.end_ids)
      if (id < vocabulary_.size())
        ends.push_back(static_cast<std::int64_t>(id));
      else
        settings_.warnings.push_back(
            fmt::format("eos_token_id {} is beyond the vocabulary: ignored", id));
    if (!ends.empty()) metadata_.add_integers("malina.tokenizer.end_token_ids", std::move(ends));
  }

  std::optional<std::uint64_t> id_of(const SpecialRole& role, const PieceTable& pieces) {
    if (const auto text = settings_.specials.find(role.name); text != settings_.specials.end()) {
      if (const Token token = pieces.find(text->second); token >= 0)
        return static_cast<std::uint64_t>(token);
      settings_.warnings.push_back(fmt::format("{}_token {} is not in the vocabulary: ignored",
                                               role.name, in_quotes(text->second)));
    }
    for (const auto* ids : {&model_ids_, &settings_.config_ids})
      if (const auto id = ids->find(role.name); id != ids->end() && id->second < vocabulary_.size())
        return id->second;
    return std::nullopt;
  }

  // Tokens before and behind a text: tokenizer_config.json goes first, as in Transformers' classes
  // that read it.
  void add_beginnings(const TokenizerRules& rules, const std::string& file) {
    add_end(rules.first, settings_.add_bos, kSpecialRoles[0], "tokenizer.ggml.add_bos_token", file);
    add_end(rules.last, settings_.add_eos, kSpecialRoles[1], "tokenizer.ggml.add_eos_token", file);
  }
  void add_end(std::optional<Token> processed, std::optional<bool> configured,
               const SpecialRole& role, const char* key, const std::string& file) {
    if (processed && configured != false) {
      const auto* known = metadata_.find(role.key);
      if (known == nullptr ||
          std::get<std::uint64_t>(*known) != static_cast<std::uint64_t>(*processed))
        throw Error(Fault::unsupported,
                    fmt::format("{}: a post_processor adds token {}, which is not the {}_token",
                                file, *processed, role.name));
    }
    if (configured && *configured != processed.has_value())
      settings_.warnings.push_back(
          fmt::format("tokenizer_config.json says add_{}_token {}, the post_processor of "
                      "tokenizer.json {}: the former is used",
                      role.name, *configured, processed.has_value()));
    metadata_.add_boolean(key, configured.value_or(processed.has_value()));
  }

  // tokenizer.json has no scores; where tokenizer.model has the same pieces, its own are kept.
  void compare_model(const HuggingFaceFiles::File& file, const TokenizerRules& rules,
                     std::vector<float>& scores) {
    if (rules.byte_level) {
      settings_.warnings.push_back(file.name + " is not used: tokenizer.json is of another kind");
      return;
    }
    const SentencePieceModel model =
        parse_sentence_piece_model(std::as_bytes(std::span(file.text)), file.name);
    std::size_t different = 0, first = 0;
    for (std::size_t i = 0; i < model.pieces.size(); ++i) {
      if (i < vocabulary_.size() && vocabulary_.text(i) == model.pieces[i].text) continue;
      if (different++ == 0) first = i;
    }
    if (different == 0) {
      for (std::size_t i = 0; i < model.pieces.size(); ++i) scores[i] = model.pieces[i].score;
      return;
    }
    settings_.warnings.push_back(fmt::format(
        "{}: {} pieces are not those of tokenizer.json, which is used (the first is {})", file.name,
        different, first));
  }

  const HuggingFaceFiles& files_;
  MetadataBuilder& metadata_;
  TokenizerSettings settings_;
  HuggingFaceVocabulary vocabulary_;
  std::map<std::string, std::uint64_t, std::less<>> model_ids_;  // where no text names a token
};

}  // namespace

void add_hugging_face_tokenizer(const HuggingFaceFiles& files, MetadataBuilder& metadata) {
  TokenizerWriter(files, metadata).write();
}

void add_hugging_face_tokenizer(const std::filesystem::path& directory, MetadataBuilder& metadata) {
  add_hugging_face_tokenizer(read_hugging_face_files(directory), metadata);
}

}  // namespace malina::text
