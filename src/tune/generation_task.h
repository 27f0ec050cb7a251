// Conversations and completions, as a model that writes learns them: the tokens that it will be
// given when it serves, and its answer with the token that ends it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"
#include "tune/example_reader.h"
#include "tune/trainer.h"

namespace malina::tune {

// What turns text into tokens; the same that answers are computed with.
struct GenerationForm {
  const text::Tokenizer* tokenizer = nullptr;
  const text::ChatTemplate* chat_template = nullptr;  // may be null: no conversations
  std::size_t max_tokens = 2048;                      // of a row
};

// What a row becomes. At each token the target is the one that follows it, where that is to be
// learned. A prompt has exactly the tokens that the same messages have when the model is asked;
// where a template writes earlier turns otherwise once later ones are there, each answer becomes an
// example of its own. Empty where nothing is to be learned. Throws base::Error: invalid_argument
// where the template refuses the row or the row has a label in place of an answer; unsupported
// where there is no template for a conversation.
std::vector<TrainingExample> generation_examples(const Example& example,
                                                 const GenerationForm& form);

struct GenerationData {
  std::vector<TrainingExample> examples;
  std::vector<std::size_t> rows_of;  // of each example its row, counted from 0
  std::vector<base::Digest> files;   // SHA-256 of each, in order
  std::string licence;               // the first that a row states, else ""
  std::size_t rows = 0;
  std::size_t too_long = 0;   // rows left out
  std::uint64_t tokens = 0;   // of all examples
  std::uint64_t learned = 0;  // of these the ones with a target
  std::size_t longest = 0;    // example, in tokens
};

// All rows of the files. Rows of more than max_tokens are left out and counted where `skip_long`
// is set. Throws base::Error(invalid_argument), naming file and line, where a row cannot be used or
// is too long, and where no row is left; and what ExampleReader throws.
GenerationData read_generation_data(std::span<const std::filesystem::path> files,
                                    const GenerationForm& form, const ReadOptions& options,
                                    bool skip_long);

}  // namespace malina::tune
