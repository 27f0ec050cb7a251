// Texts with one label each, as a classifier learns them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "text/tokenizer.h"
#include "tune/example_reader.h"
#include "tune/trainer.h"

namespace malina::tune {

// A text as a classifier reads it, in training and in use alike: the model's beginning token where
// it has one, the text, the model's end token, at which the answer is read off.
struct TextForm {
  std::size_t max_tokens = 512;  // with the tokens around the text; at least 4
  // The text stands there twice, with a line end between, and means are of the second: each of its
  // tokens then sees the whole text, which a model that reads from left to right otherwise does
  // not (Springer et al., 2024, "Repetition improves language model embeddings"). A text of more
  // than half of max_tokens stands there once.
  bool twice = false;

  struct Tokens {
    std::vector<std::int32_t> ids;
    std::size_t read_from = 0;  // the first token of which a mean is taken
    bool truncated = false;     // the text's end had to be left out
  };
  Tokens tokens(const text::Tokenizer& tokenizer, std::string_view text) const;
};

struct LabelledTexts {
  struct Place {
    std::size_t file;  // index
    std::uint64_t line;
  };
  std::vector<std::string> texts, labels;
  std::vector<Place> places;        // of each text
  std::vector<base::Digest> files;  // SHA-256 of each file, in order
  std::string licence;              // the first that a row states, else ""

  std::size_t size() const { return texts.size(); }
  LabelledTexts subset(std::span<const std::size_t> rows) const;  // without files
};

// All rows of the files. Throws base::Error(invalid_argument) where a row cannot be used (naming
// file and line), has no label or several, or where there is no row; and what ExampleReader throws.
LabelledTexts read_labelled_texts(std::span<const std::filesystem::path> files,
                                  const ReadOptions& options = {});

// Of each label its index in `names`, which are ascending. Throws base::Error(invalid_argument) for
// a label that is not among them, naming it.
std::vector<std::uint32_t> classes_of(std::span<const std::string> labels,
                                      std::span<const std::string> names);

// The examples of a trainer with a head; the target stands at the last token.
struct ClassificationExamples {
  std::vector<TrainingExample> examples;
  std::size_t truncated = 0;  // texts that were longer
  std::size_t longest = 0;    // tokens
};
ClassificationExamples classification_examples(const LabelledTexts& data,
                                               std::span<const std::uint32_t> classes,
                                               const TextForm& form,
                                               const text::Tokenizer& tokenizer);

}  // namespace malina::tune
