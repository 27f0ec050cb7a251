// What a classifier or a tagger answered to some of its validation texts when it was tuned, kept
// beside it: whoever loads it computes the same again, or does not use it. So a changed tokenizer,
// template, base, file or kernel is noticed before it decides anything.
//
// Tokens must be the same; probabilities within a tolerance, since another processor, compiler or
// version may round the last bits otherwise. The texts stand in this file alone, in no manifest.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace malina::text {
class Tokenizer;
}

namespace malina::tune {

class Classifier;
class SpanTagger;

inline constexpr std::string_view kCertificateName = "certificate.json";

struct Certificate {
  // Of those that score labels fewer: each takes a prompt and all labels.
  static constexpr std::size_t kExamples = 100, kLabelExamples = 20;
  static constexpr double kTolerance = 2e-3;  // of a probability

  struct Span {
    std::size_t begin = 0, end = 0;  // bytes
    std::string type;
    bool operator==(const Span&) const = default;
  };
  struct Example {
    std::string text;
    std::string tokens;  // tokens_digest(); empty where words alone are used
    // Of a classifier's labels, calibrated; of a tagger's whole sequence of tags, and then of each
    // span in it, at the temperature.
    std::vector<double> probabilities;
    std::vector<Span> spans = {};  // of a tagger
    bool operator==(const Example&) const = default;
  };
  double tolerance = kTolerance;
  std::vector<Example> examples;
  bool operator==(const Certificate&) const = default;

  // Places of the examples with the shortest texts, `most` of them.
  std::vector<std::size_t> shortest(std::size_t most) const;
};

// "sha256:..." of the ids, each as four bytes, the lowest first.
std::string tokens_digest(std::span<const std::int32_t> tokens);

// JSON, probabilities with six decimals.
std::string to_text(const Certificate& certificate);
// Throws base::Error(corrupt_file, unsupported) naming the file.
Certificate parse_certificate(std::string_view text, const std::string& name);

// What the classifier does otherwise than it was certified, of the examples at these places, as a
// sentence that names the first such example and none of its text; "" where nothing is.
std::string difference(const Certificate& certificate, std::span<const std::size_t> places,
                       Classifier& classifier);
// Of a tagger. Spans are compared where the whole sequence was likelier than all others together: of
// answers that are nearly as likely as each other, rounding may choose.
std::string difference(const Certificate& certificate, std::span<const std::size_t> places,
                       SpanTagger& tagger);

}  // namespace malina::tune
