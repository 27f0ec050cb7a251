// Texts with marked spans, as a tagger learns them: each token says whether it is outside of every
// span, begins one or goes on with it (eval/tag_chain.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "eval/linear_tagger.h"
#include "eval/tag_chain.h"
#include "text/tokenizer.h"
#include "tune/example_reader.h"
#include "tune/trainer.h"

namespace malina::tune {

struct SpanTexts {
  std::vector<std::string> texts;
  std::vector<std::vector<Slot>> slots;  // of each text, ascending, none overlaps another
  std::vector<base::Digest> files;       // SHA-256 of each, in order
  std::string licence;                   // the first that a row states, else ""
  std::size_t overlapping = 0;           // spans that were left out for a longer one

  std::size_t size() const { return texts.size(); }
  SpanTexts subset(std::span<const std::size_t> rows) const;  // without files
};

// All rows of the files. Of spans that overlap the longest is kept. Throws
// base::Error(invalid_argument), naming file and line, where a row cannot be used or has no list of
// spans, and where there is no row; and what ExampleReader throws.
SpanTexts read_span_texts(std::span<const std::filesystem::path> files,
                          const ReadOptions& options = {});

// The types that occur, ascending.
std::vector<std::string> types_of(const SpanTexts& data);

// Where the tokens, or words, of a text stand in it.
using Places = std::vector<eval::WordPlace>;

// The spans of a text in units, of which each has at least a part; types by their place in `types`.
// Spans of other types, and those without a unit of their own, are left out.
std::vector<eval::TaggedSpan> tagged_spans(std::span<const Slot> slots, const Places& places,
                                           std::span<const std::string> types);

// A span as it stands in a text, in bytes, without white space at its ends.
struct FoundSpan {
  std::size_t type = 0, begin = 0, end = 0;
  double probability = 0;

  bool same_place(const FoundSpan& other) const {
    return type == other.type && begin == other.begin && end == other.end;
  }
};
std::vector<FoundSpan> found_spans(std::span<const eval::TaggedSpan> spans, const Places& places,
                                   std::string_view text);

// A text as a tagger reads it: the model's beginning token where it has one, the text, a line end,
// the text again, whose tokens are tagged: each then sees the whole text (as TextForm::twice). A
// text of more than half of max_tokens stands there once, and what of it is too long is not read.
struct SpanForm {
  std::size_t max_tokens = 512;  // at least 4

  struct Tokens {
    std::vector<std::int32_t> ids;
    std::size_t read_from = 0;  // the first token that is tagged; all that follow are
    Places places;              // of those in the text
    bool truncated = false;
  };
  // Throws base::Error(unsupported) where the tokenizer changes the text, so that places in it are
  // not known.
  Tokens tokens(const text::Tokenizer& tokenizer, std::string_view text) const;
};

// The examples of a trainer with a head of tag_count(types) outputs. A text without a token is left
// out: `rows` says which text each is of.
struct SpanExamples {
  std::vector<TrainingExample> examples;
  std::vector<Places> places;
  std::vector<std::size_t> rows;
  std::size_t truncated = 0, longest = 0;
};
SpanExamples span_examples(const SpanTexts& data, std::span<const std::string> types,
                           const SpanForm& form, const text::Tokenizer& tokenizer);

}  // namespace malina::tune
