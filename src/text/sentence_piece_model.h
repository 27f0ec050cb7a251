// tokenizer.model: a SentencePiece model (a protocol buffer) as data.
//
// Formats: src/sentencepiece_model.proto of google/sentencepiece, and the wire format of protocol
// buffers. What its own loader refuses (model_interface.cc) is refused here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace malina::text {

struct SentencePieceModel {
  struct Piece {
    std::string text;
    float score = 0;
    TokenKind kind = TokenKind::normal;
  };
  std::vector<Piece> pieces;  // at least one
  bool space_prefix = true;   // normalizer_spec.add_dummy_prefix
  Token unknown = 0;          // there is exactly one
  std::optional<Token> bos, eos, padding;
};

// `name` is the file's, for messages. Throws base::Error: corrupt_file with the byte where the
// message breaks; unsupported for models other than BPE and for normalisations that malina lacks.
SentencePieceModel parse_sentence_piece_model(std::span<const std::byte> bytes,
                                              const std::string& name);

}  // namespace malina::text
