// Fill in the middle: what stands between a prefix and a suffix (Bavarian et al., 2022; Roziere et
// al., 2023).
#pragma once

#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace malina::text {

enum class InfillOrder {
  prefix_first,  // PSM
  suffix_first,  // SPM: CodeLlama alone
};

// The prompt by the form that the vocabulary's own tokens show:
//   CodeLlama  BOS <PRE> prefix <SUF> suffix <MID>, or suffix first: BOS <PRE> <SUF> suffix <MID> prefix
//   Mistral    BOS [SUFFIX] suffix [PREFIX] prefix
//   others     <|fim_prefix|> prefix <|fim_suffix|> suffix <|fim_middle|>, or without the bars
// Control tokens are not read from prefix or suffix. The suffix has no space put before it. Throws
// base::Error(unsupported) where the vocabulary has no such tokens, or not for this order.
std::vector<Token> infill_prompt(const Tokenizer& tokenizer, std::string_view prefix,
                                 std::string_view suffix,
                                 InfillOrder order = InfillOrder::prefix_first);

}  // namespace malina::text
