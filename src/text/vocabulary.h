// The vocabulary of a model file, checked: what every tokeniser of the program is built from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/checkpoint.h"
#include "text/piece_table.h"
#include "text/tokenizer.h"

namespace malina::text {

// Where a SentencePiece tokeniser that puts a space before texts does so.
enum class SpacePrefix {
  segment,               // at the beginning and behind every special token
  segment_unless_space,  // there, but not before a space
  text,                  // at the beginning alone
  text_unless_space,
};

// How tokenizer.json has an added token looked for. Bits of Vocabulary::added.
enum AddedTokenFlag : std::uint8_t {
  kStripLeft = 1,   // takes the white space before it
  kStripRight = 2,  // and behind it
  kNormalized = 4,  // "▁" in it also stands for a space, and no space is put behind it
};

struct Vocabulary {
  std::string model;  // tokenizer.ggml.model
  PieceTable pieces;  // by their spelling in the file
  std::vector<TokenKind> kinds;
  std::optional<Token> bos, eos, unknown;
  std::vector<Token> end_tokens;                           // ascending
  std::optional<bool> add_bos, add_eos, add_space_prefix;  // as the file says
  bool strips_after_special = false;  // white space after most special tokens belongs to them
  SpacePrefix prefix = SpacePrefix::segment;
  bool by_rank = false;  // of SentencePiece's kind, but with the merges of tokenizer.json
  std::vector<std::uint8_t> added;  // AddedTokenFlag bits of each token, or empty
  std::vector<std::string> warnings;

  TokenKind kind(Token token) const { return kinds[static_cast<std::size_t>(token)]; }
  std::string_view piece(Token token) const { return pieces[static_cast<std::size_t>(token)]; }
  bool strips_after(Token token) const {
    return strips_after_special && kind(token) != TokenKind::unknown && token != bos &&
           piece(token) != "<|endoftext|>";
  }
  bool has(Token token, AddedTokenFlag flag) const {
    return !added.empty() && (added[static_cast<std::size_t>(token)] & flag) != 0;
  }
  bool holds(Token token) const {
    return token >= 0 && static_cast<std::size_t>(token) < kinds.size();
  }
};

// Reads tokens, types and special tokens; throws base::Error(corrupt_file) naming the key. The
// defaults of models.md section 3.1 apply where the file says nothing: `sentence_piece` chooses.
Vocabulary read_vocabulary(const format::Metadata& metadata, bool sentence_piece);

// The byte that the spelling "<0x41>" stands for; nothing for any other spelling.
std::optional<unsigned char> byte_of_piece(std::string_view piece);

}  // namespace malina::text
