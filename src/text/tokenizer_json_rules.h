// The steps around the model of a tokenizer.json, as the options that malina's tokenisers have.
#pragma once

#include <optional>
#include <string>

#include "text/tokenizer_json.h"
#include "text/vocabulary.h"

namespace malina::text {

struct TokenizerRules {
  bool byte_level = false;  // otherwise of SentencePiece's kind: "▁" for spaces

  // Of byte-level ones.
  std::string pre;        // tokenizer.ggml.pre with these expressions
  bool composed = false;  // normalisation form C

  // Of the others.
  bool space_prefix = false;
  SpacePrefix prefix = SpacePrefix::segment;
  bool prepends = false;      // by a normalizer, which changes what normalized tokens look for
  bool splits_words = false;  // merges do not cross a "▁"

  // Whether added tokens that are normalized look for something other than their text.
  bool normalizes_tokens() const { return !byte_level; }

  // What the post_processor puts before and behind a text.
  std::optional<Token> first, last;
};

// Throws unsupported, naming the step, for everything that malina's tokenisers would do otherwise;
// corrupt_file for steps that are not of the format.
TokenizerRules read_rules(const TokenizerJson& tokenizer, const std::string& name);

// The name in tokenizer.ggml.pre of the rule that cuts text by these expressions one after the
// other (as lines); of several the one with these other properties, if there is one. Empty where
// malina does not know the expressions.
std::string pre_tokenizer_name(const std::string& expressions, bool composed, bool ignore_merges);

}  // namespace malina::text
