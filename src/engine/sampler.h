// Logits to a token: every parameter of models.md section 4, seeded and reproducible.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/random.h"
#include "text/tokenizer.h"

namespace malina::engine {

using text::Token;

// In which order the filters see the distribution.
enum class SamplingOrder {
  hugging_face,  // penalties, temperature, top_k, top_p, min_p
  llama_cpp,     // penalties, top_k, top_p, min_p, temperature: filters see temperature 1
};

struct Sampling {
  float temperature = 1;         // 0 to 2; 0 takes the most likely token, the lowest id on ties
  std::uint32_t top_k = 0;       // 0: off. Hugging Face order keeps ties of the k-th
  float top_p = 1;               // smallest set of the likeliest whose sum reaches it; at least one
  float min_p = 0;               // keeps p >= min_p * the greatest p
  float repetition_penalty = 1;  // logit > 0 ? / : *, for tokens of the prompt and the answer
  std::uint32_t repetition_window = 0;  // how many of the last tokens it looks at; 0: all
  float frequency_penalty = 0;          // -2 to 2: logit -= f * count in the answer
  float presence_penalty = 0;           // -2 to 2: logit -= p if in the answer at all
  std::vector<std::pair<Token, float>> logit_bias = {};  // added first; -100 to 100; at most 300
  std::uint64_t seed = 0;
  SamplingOrder order = SamplingOrder::hugging_face;

  // Throws base::Error(invalid_argument) naming the parameter, its value and its range.
  void check(std::size_t vocabulary) const;
};

// Which tokens may come: bit t of word t/64. Empty: all.
using TokenMask = std::span<const std::uint64_t>;

// One for each generation; one thread at a time. The same seed, parameters and logits give the same
// tokens on every machine.
class Sampler {
 public:
  // Tokens from `vocabulary` on (rows that pad the output matrix) never come.
  Sampler(Sampling sampling, std::size_t vocabulary, std::span<const Token> prompt);

  // Chooses a token and remembers it. Throws base::Error(invalid_argument) where the mask forbids
  // all tokens, and internal where the logits are not numbers.
  Token sample(std::span<const float> logits, TokenMask mask = {});

 private:
  struct Candidate {
    float logit;
    Token token;
  };
  bool changes_logits(TokenMask mask) const;
  Token choose(std::span<const float> logits, TokenMask mask);
  void adjust(std::span<const float> logits);
  void collect(TokenMask mask);
  void penalise();
  void keep_top_k();
  void keep_top_p();
  void keep_min_p();
  void apply_temperature();
  float greatest() const;  // logit of a candidate
  Token draw();

  Sampling sampling_;
  std::size_t vocabulary_;
  base::Random random_;
  std::vector<Token> history_;  // prompt and answer
  std::size_t prompt_tokens_;
  std::unordered_map<Token, std::uint32_t> answer_counts_;
  std::vector<Candidate> candidates_;  // kept between calls for its memory
  bool by_token_ = true;               // the candidates stand in the order of their ids
  std::vector<float> adjusted_;
  std::vector<double> weights_;
};

// Throws base::Error(corrupt_file) where one is NaN: a model of finite weights computes none.
void check_numbers(std::span<const float> logits);

// The n most likely, descending, the lower id first on ties.
std::vector<std::pair<Token, float>> most_likely(std::span<const float> logits, std::size_t n);

}  // namespace malina::engine
