#include "eval/linear_tagger.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"

namespace malina::eval {
namespace {

// "play SONG by ARTIST now": what follows "play" and "by" is marked, of one or two words.
struct Data {
  std::vector<std::string> texts;
  std::vector<std::vector<std::uint32_t>> tags;
  std::vector<std::vector<TaggedSpan>> spans;
};

Data songs(std::size_t count, std::uint64_t seed) {
  base::Random random(seed);
  Data data;
  const auto name = [&] { return "w" + std::to_string(random.below(500)); };
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<std::string> words{"play"};
    std::vector<TaggedSpan> spans;
    for (std::size_t type = 0; type < 2; ++type) {
      const std::size_t first = words.size(), length = 1 + random.below(2);
      for (std::size_t k = 0; k < length; ++k) words.push_back(name());
      spans.push_back({type, first, words.size(), 0});
      words.emplace_back(type == 0 ? "by" : "now");
    }
    std::string text;
    for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
    data.tags.push_back(tags_of(spans, words.size()));
    data.texts.push_back(std::move(text));
    data.spans.push_back(std::move(spans));
  }
  return data;
}

double f1(const LinearTagger& tagger, const Data& data) {
  SpanCounts counts;
  for (std::size_t i = 0; i < data.texts.size(); ++i)
    counts.add(decode_tags(tagger.scores(data.texts[i])).spans, data.spans[i]);
  return counts.f1();
}

TEST(LinearTagger, WordsAreRunsOfLettersAndSingleSigns) {
  const std::string text = "Žluť_1, o'clock!";
  std::vector<std::string> words;
  for (const WordPlace& place : words_of(text))
    words.push_back(text.substr(place.begin, place.end - place.begin));
  EXPECT_EQ(words, (std::vector<std::string>{"Žluť_1", ",", "o", "'", "clock", "!"}));
  EXPECT_TRUE(words_of(" \t\n").empty());
}

TEST(LinearTagger, WhatItTakesIsKnownBefore) {
  const Data training = songs(200, 1);
  base::ThreadPool pool(2);
  const LinearTagger tagger = LinearTagger::fit(training.texts, training.tags, 2, pool);
  const LinearTagger::Cost cost = LinearTagger::cost_of(training.texts, 2, 2);
  EXPECT_LT(cost.model_bytes, tagger.bytes().size());
  EXPECT_GT(cost.model_bytes + 100, tagger.bytes().size());  // its head and its digest
  EXPECT_GT(LinearTagger::cost_of(training.texts, 2, 4).working_bytes, cost.working_bytes);
}

TEST(LinearTagger, FindsWhatStandsBesideCertainWords) {
  const Data training = songs(200, 1), test = songs(100, 2);
  base::ThreadPool one(1), two(2);
  const LinearTagger tagger = LinearTagger::fit(training.texts, training.tags, 2, two);
  EXPECT_GT(f1(tagger, test), 0.9);
  EXPECT_EQ(tagger.bytes(), LinearTagger::fit(training.texts, training.tags, 2, one).bytes());
}

TEST(LinearTagger, ComesBackFromItsBytesAndNothingElseDoes) {
  const Data training = songs(30, 1);
  base::ThreadPool pool(1);
  const LinearTagger tagger = LinearTagger::fit(training.texts, training.tags, 2, pool);
  const std::string bytes = tagger.bytes();
  const LinearTagger again = LinearTagger::parse(bytes, "x");
  EXPECT_EQ(again.scores("play w1 by w2 now").values, tagger.scores("play w1 by w2 now").values);
  for (std::size_t i = 0; i < bytes.size(); i += 97) {
    std::string broken = bytes;
    broken[i] = static_cast<char>(broken[i] ^ 1);
    EXPECT_THROW(LinearTagger::parse(broken, "x"), base::Error) << i;
    EXPECT_THROW(LinearTagger::parse(bytes.substr(0, i), "x"), base::Error) << i;
  }
}

TEST(LinearTagger, DataThatDoNotFitAreRefused) {
  base::ThreadPool pool(1);
  const std::vector<std::string> texts{"two words"};
  EXPECT_THROW(LinearTagger::fit(texts, std::vector<std::vector<std::uint32_t>>{{0}}, 1, pool),
               base::Error);
  EXPECT_THROW(LinearTagger::fit({}, {}, 1, pool), base::Error);
}

}  // namespace
}  // namespace malina::eval
