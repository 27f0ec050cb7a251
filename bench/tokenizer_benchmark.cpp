// How fast texts become tokens, on one thread:
//   tokenizer_benchmark MODEL.gguf              the load, and the texts that tokenisers fear
//   tokenizer_benchmark MODEL.gguf TEXT ...     files, one line of figures each
// A line: name, bytes, tokens, a digest of the ids, processor seconds (the best of several runs).
// With the digest tokenizer_compare.py sees that both sides did the same work.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <exception>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "format/checkpoint.h"
#include "text/tokenizer.h"

namespace {

using malina::format::Checkpoint;
using malina::text::Token;
using malina::text::Tokenizer;

// Of the processor, not of the wall: other work on the machine does not count.
double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

template <typename Work>
double best_seconds(const Work& work) {
  double best = 1e9, total = 0;
  for (int run = 0; run < 20 && (run < 3 || total < 1.0); ++run) {
    const double begin = processor_seconds();
    work();
    const double taken = processor_seconds() - begin;
    best = std::min(best, taken);
    total += taken;
  }
  return best;
}

std::uint64_t digest(const std::vector<Token>& tokens) {  // FNV-1a over the ids
  std::uint64_t hash = 14695981039346656037ULL;
  for (const Token token : tokens)
    hash = (hash ^ static_cast<std::uint64_t>(token)) * 1099511628211ULL;
  return hash;
}

void measure(const Tokenizer& tokenizer, const std::string& name, const std::string& text) {
  std::vector<Token> tokens;
  const double seconds = best_seconds([&] { tokens = tokenizer.encode(text); });
  fmt::print("{}\t{}\t{}\t{:016x}\t{:.6f}\n", name, text.size(), tokens.size(), digest(tokens),
             seconds);
}

std::string repeated(std::string_view part, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += part;
  return text;
}

void measure_feared_texts(const Tokenizer& tokenizer) {
  constexpr std::size_t kBytes = 1 << 20;
  measure(tokenizer, "a", repeated("a", kBytes));
  measure(tokenizer, "spaces", repeated(" ", kBytes));
  measure(tokenizer, "newlines", repeated("\n", kBytes));
  measure(tokenizer, "digits", repeated("1", kBytes));
  measure(tokenizer, "equals", repeated("=", kBytes));
  measure(tokenizer, "emoji", repeated("😀", kBytes));
  measure(tokenizer, "han", repeated("漢字仮名", kBytes));
  measure(tokenizer, "combining", repeated("e\u0301\u0323", kBytes));
  measure(tokenizer, "space-newline", repeated(" \n", kBytes));
  measure(tokenizer, "apostrophes", repeated("'", kBytes));
  measure(tokenizer, "markup", repeated("<|im_start|", kBytes));
  std::mt19937 random(1);
  std::string bytes, letters;
  for (std::size_t i = 0; i < kBytes; ++i) {
    bytes += static_cast<char>(random() & 0xFF);
    letters += static_cast<char>('a' + random() % 26);
  }
  measure(tokenizer, "random-bytes", bytes);
  measure(tokenizer, "random-letters", letters);
}

}  // namespace

int main(int count, char** arguments) try {
  if (count < 2) {
    fmt::print(stderr, "usage: tokenizer_benchmark MODEL.gguf [TEXT ...]\n");
    return 2;
  }
  const auto checkpoint = Checkpoint::open(arguments[1]);
  const auto tokenizer = Tokenizer::create(checkpoint->metadata());
  if (count > 2) {
    for (int i = 2; i < count; ++i) {
      std::ifstream stream(arguments[i], std::ios::binary);
      if (!stream) throw std::runtime_error(fmt::format("{}: cannot be read", arguments[i]));
      measure(*tokenizer, arguments[i], std::string(std::istreambuf_iterator<char>(stream), {}));
    }
    return 0;
  }
  const double load = best_seconds([&] { Tokenizer::create(checkpoint->metadata()); });
  fmt::print("load\t0\t{}\t{:016x}\t{:.6f}\n", tokenizer->vocabulary_size(), 0, load);
  measure_feared_texts(*tokenizer);
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "tokenizer_benchmark: {}\n", error.what());
  return 1;
}
