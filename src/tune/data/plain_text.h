// Texts as the checks compare them: what is the same to a reader is the same here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace malina::tune {

// Lower case, composed (NFC), each stretch of what is neither letter, mark nor number one space,
// none at the ends. "Isn't it?" is "isn t it".
std::string plain_text(std::string_view text);

// Hashes of all runs of five characters of a plain text, ascending and distinct; of a shorter one,
// the hash of the whole. Never empty.
std::vector<std::uint32_t> shingles(std::string_view plain);

// Of two such lists: the size of the intersection over that of the union (Jaccard, 1901).
double similarity(const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b);

// Text of a data set in a message: between single quotes, on one line, cut with "..." where it is
// long. Letters of all scripts stay; what is not UTF-8 is written as base::in_quotes does.
std::string in_readable_quotes(std::string_view text);

// FNV-1a of 64 bits, mixed: equal texts, for tables in memory. Not for adversaries.
std::uint64_t text_hash(std::string_view text);

}  // namespace malina::tune
