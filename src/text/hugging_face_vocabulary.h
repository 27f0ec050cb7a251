// The tokens of a Hugging Face directory by id, joined from the files that name some of them.
// Private to hugging_face_tokenizer.cpp.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "text/piece_table.h"
#include "text/sentence_piece_model.h"
#include "text/tokenizer_json_rules.h"

namespace malina::text {

class HuggingFaceVocabulary {
 public:
  // Warnings go to the list, which must outlive this.
  explicit HuggingFaceVocabulary(std::vector<std::string>& warnings) : warnings_(warnings) {}

  // Begins with the tokens of a tokenizer.json (which stay there no longer) or a tokenizer.model.
  void take(TokenizerJson& tokenizer, const TokenizerRules& rules, const std::string& file);
  void take(const SentencePieceModel& model);
  // A token of tokenizer_config.json, whose properties replace those in tokenizer.json.
  // `normalizes`: a normalized token is looked for in the text with its spaces marked.
  void add(const AddedToken& token, bool normalizes, const std::string& file);
  // A token of added_tokens.json, which has no properties.
  void add_old(const AddedToken& token, const std::string& file);
  // Tokens that the settings name are special, wherever they came from.
  void make_special(const std::map<std::string, std::string, std::less<>>& specials,
                    const std::vector<std::string>& more);
  // Gaps become unused tokens; so does what config.json's vocab_size is longer by, as the matrices
  // of the model have rows for it. What it is shorter by is left out, with a warning.
  void resize(std::optional<std::uint64_t> size);

  std::size_t size() const { return entries_.size(); }
  const std::string& text(std::size_t id) const { return entries_[id].text; }
  // Throws corrupt_file where two tokens have the same text.
  PieceTable table(const std::string& file) const;
  std::vector<std::string> texts() const;
  std::vector<std::int64_t> kinds() const;
  std::vector<float> scores() const;
  std::vector<std::int64_t> with(AddedTokenFlag flag) const;  // ids, ascending

  // Throws corrupt_file where a merge names a piece that is not there, and unsupported where merges
  // would cross words that are kept apart. Takes those away that have no effect, and gives the
  // tokens that the others make.
  std::vector<Token> check_merges(TokenizerJson& tokenizer, const PieceTable& pieces,
                                  const TokenizerRules& rules, const std::string& file) const;
  // Scores that put the pieces in the order of the merges, for programs that know scores alone.
  std::vector<float> scores_of_merges(const std::vector<Token>& results) const;

 private:
  struct Entry {
    std::string text;  // empty: a gap
    TokenKind kind = TokenKind::unused;
    float score = 0;
    std::uint8_t flags = 0;
  };

  Entry& at(std::uint64_t id);
  void place(std::string text, std::uint64_t id, const std::string& file);

  std::vector<std::string>& warnings_;
  std::vector<Entry> entries_;
};

}  // namespace malina::text
