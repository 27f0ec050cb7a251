// How long the masks of JSON answers take, on one thread:
//   json_mask_benchmark MODEL.gguf [TEXT.json]
// A line: what, how many, processor milliseconds. "first" is a mask that was never asked for, on
// tables that are new; "again" is one that is kept. The text (a document of some hundred tokens
// where none is given) is taken token by token, as a model would write it.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <exception>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "engine/json_constraint.h"
#include "format/checkpoint.h"

namespace {

using namespace malina;

// Of the processor, not of the wall: other work on the machine does not count.
double milliseconds() { return static_cast<double>(std::clock()) * 1e3 / CLOCKS_PER_SEC; }

template <typename Work>
double measure(const Work& work) {
  const double begin = milliseconds();
  work();
  return milliseconds() - begin;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::string sample() {
  std::string text = "{\n  \"title\": \"A list of orders\",\n  \"orders\": [\n";
  for (int i = 0; i < 20; ++i)
    text += fmt::format(
        "{}    {{\"number\": {}, \"price\": {}.5e-1, \"open\": {}, \"note\": \"caf\u00e9 \\u00e9 "
        "\\\"{}\\\"\", \"tags\": [[], {{}}, null]}}",
        i == 0 ? "" : ",\n", i * 7919, i, i % 2 == 0 ? "true" : "false", i);
  return text + "\n  ]\n}";
}

void measure_states(const std::shared_ptr<const text::Tokenizer>& tokenizer) {
  const std::pair<const char*, const char*> states[] = {{"at the beginning", ""},
                                                        {"behind {", "{"},
                                                        {"in a key", "{\"a"},
                                                        {"behind a colon", "{\"a\":"},
                                                        {"in a string", "{\"a\":\"b"},
                                                        {"behind a backslash", "{\"a\":\"\\"},
                                                        {"in a deep string", "{\"a\":[{\"b\":[\"c"},
                                                        {"in a number", "{\"a\":12"},
                                                        {"behind a value", "{\"a\":[1 "}};
  for (const auto& [what, prefix] : states) {
    const auto state = *text::accepts({}, prefix);
    std::vector<double> first;
    double again = 0;
    for (int run = 0; run < 5; ++run) {
      engine::JsonMasks masks(tokenizer, tokenizer->vocabulary_size());
      first.push_back(measure([&] { masks.find(state); }));
      again = measure([&] {
                for (int i = 0; i < 1000; ++i) masks.find(state);
              }) /
              1000;
    }
    fmt::print("{}\tfirst\t{:.3f}\tagain\t{:.5f}\n", what, median(first), again);
  }
}

void measure_text(const std::shared_ptr<const text::Tokenizer>& tokenizer,
                  const std::string& text) {
  const auto tokens = tokenizer->encode(text);
  engine::JsonMode mode(tokenizer, tokenizer->vocabulary_size());
  mode.constraint();
  for (const char* pass : {"first", "again"}) {
    const auto constraint = mode.constraint();
    double most = 0, total = 0;
    for (const text::Token token : tokens) {
      const double taken = measure([&] { constraint->allowed(); });
      total += taken;
      most = std::max(most, taken);
      constraint->accept(token);
    }
    fmt::print("text, {}\t{}\tmean\t{:.4f}\tmost\t{:.3f}\n", pass, tokens.size(),
               total / static_cast<double>(tokens.size()), most);
  }
}

}  // namespace

int main(int count, char** arguments) try {
  if (count < 2) {
    fmt::print(stderr, "usage: json_mask_benchmark MODEL.gguf [TEXT.json]\n");
    return 2;
  }
  const auto tokenizer =
      text::Tokenizer::create(format::Checkpoint::open(arguments[1])->metadata());
  const std::size_t vocabulary = tokenizer->vocabulary_size();
  std::vector<double> builds;
  for (int run = 0; run < 5; ++run)
    builds.push_back(measure([&] { engine::JsonMasks(tokenizer, vocabulary); }));
  fmt::print("tables\t{}\t{:.1f}\n", vocabulary, median(builds));
  measure_states(tokenizer);
  std::string text = sample();
  if (count > 2) {
    std::ifstream stream(arguments[2], std::ios::binary);
    if (!stream) throw std::runtime_error(fmt::format("{}: cannot be read", arguments[2]));
    text.assign(std::istreambuf_iterator<char>(stream), {});
  }
  measure_text(tokenizer, text);
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "json_mask_benchmark: {}\n", error.what());
  return 1;
}
