// What an adapter that writes made of some of its validation rows when it was tuned, kept beside
// it: whoever loads it reads the same tokens in them and finds what is to be learned as likely, or
// does not use it. So a changed tokenizer, template, base, scale or kernel is noticed before it
// answers.
//
// Likelihoods are within a tolerance: training computes exactly, and answers are computed in 8 bits
// where nothing else is asked for. The rows stand in this file alone, in no manifest.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tune/generation_task.h"

namespace malina::tune {

struct GenerationCertificate {
  static constexpr std::size_t kExamples = 100;
  static constexpr double kTolerance = 0.1;  // nats a token

  struct Row {
    nlohmann::ordered_json row;  // row_json()
    std::string tokens;          // examples_digest()
    std::uint64_t length = 0;    // tokens of its examples
    double log_probability = 0;  // mean over what is learned, nats
    bool operator==(const Row&) const = default;
  };
  double tolerance = kTolerance;
  std::vector<Row> rows;
  bool operator==(const GenerationCertificate&) const = default;

  // Places of the shortest rows that have at most so many tokens together; at least one.
  std::vector<std::size_t> shortest(std::uint64_t tokens) const;
};

// A conversation or a completion as a row of OpenAI's, which reads back as the same; of others
// null.
nlohmann::ordered_json row_json(const Example& example);
// Throws base::Error(corrupt_file) naming the file.
Example example_of(const nlohmann::ordered_json& row, const std::string& name);

// "sha256:..." of tokens, targets and weights.
std::string examples_digest(std::span<const TrainingExample> examples);

std::string to_text(const GenerationCertificate& certificate);
// Throws base::Error(corrupt_file, unsupported) naming the file.
GenerationCertificate parse_generation_certificate(std::string_view text, const std::string& name);

// Sum over an example's targets of weight times log-probability.
using ExampleScore = std::function<double(const TrainingExample&)>;
// What comes out otherwise than was certified, of the rows at these places, as a sentence that
// names the first such row and nothing of its text; "" where nothing does. Throws as example_of().
std::string difference(const GenerationCertificate& certificate,
                       std::span<const std::size_t> places, const GenerationForm& form,
                       const ExampleScore& score, const std::string& name);

}  // namespace malina::tune
