#include "engine/json_constraint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.h"
#include "base/random.h"
#include "engine/engine.h"
#include "text/test_vocabularies.h"

namespace malina::engine {
namespace {

using text::JsonState;
using text::Tokenizer;
using text::TokenKind;
using text::testing::open_tokenizer;
using text::testing::Pieces;

using TokenizerPointer = std::shared_ptr<const Tokenizer>;

const char* const kVocabularies[] = {"ggml-vocab-llama-spm.gguf",
                                     "ggml-vocab-gpt-2.gguf",
                                     "ggml-vocab-starcoder.gguf",
                                     "tokenizer.model.v1",
                                     "mistral_instruct_tokenizer_240323.model.v3",
                                     "phi-2.tokenizer.json"};
constexpr const char* kTinyModel = MALINA_SOURCE_DIR "/tests/golden/tiny/q4_1.gguf";

std::string repeated(std::string_view part, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += part;
  return text;
}

const std::vector<std::string> kDocuments = {
    "{}",
    R"({"name": "J\u00e4ger \"x\" \\ \uD83D\uDE00", "n": [-0, 1e5, 0.1, -12.5E-3]})",
    "{\n  \"caf\u00e9 \u6f22\u5b57 \U0001F600\": {\"a\": [[], {}, [true, false, null]]}\n}",
    R"({"}]\"":"}}]]","b":{"c":{"d":[[[1]]]}}})",
    repeated("{\"a\":[", 32) + repeated("]}", 32),
};

bool bit(TokenMask mask, Token token) {
  const auto index = static_cast<std::size_t>(token);
  return ((mask[index / 64] >> (index % 64)) & 1U) != 0;
}

bool is_end(const Tokenizer& tokenizer, Token token) {
  const auto ends = tokenizer.end_tokens();
  return std::find(ends.begin(), ends.end(), token) != ends.end();
}

// The mask by its definition.
class OneByOne {
 public:
  explicit OneByOne(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
    for (std::size_t i = 0; i < tokenizer.vocabulary_size(); ++i) {
      const auto token = static_cast<Token>(i);
      const TokenKind kind = tokenizer.kind(token);
      const bool text =
          kind == TokenKind::normal || kind == TokenKind::byte || kind == TokenKind::user_defined;
      bytes_.push_back(text && !is_end(tokenizer, token) ? tokenizer.bytes(token) : "");
    }
  }
  std::vector<std::uint64_t> mask(const JsonState& state) const {
    std::vector<std::uint64_t> mask((bytes_.size() + 63) / 64);
    for (std::size_t i = 0; i < bytes_.size(); ++i) {
      const bool allowed = text::complete(state)
                               ? is_end(tokenizer_, static_cast<Token>(i))
                               : !bytes_[i].empty() && text::accepts(state, bytes_[i]);
      if (allowed) mask[i / 64] |= std::uint64_t{1} << (i % 64);
    }
    return mask;
  }

 private:
  const Tokenizer& tokenizer_;
  std::vector<std::string> bytes_;
};

std::vector<Token> tokens_of(TokenMask mask) {
  std::vector<Token> tokens;
  for (std::size_t word = 0; word < mask.size(); ++word)
    for (std::uint64_t rest = mask[word]; rest != 0; rest &= rest - 1)
      tokens.push_back(static_cast<Token>(word * 64 + std::countr_zero(rest)));
  return tokens;
}

TEST(JsonMasks, AreThoseOfTheTokensOneByOneForEveryPrefix) {
  for (const char* name : kVocabularies) {
    const TokenizerPointer tokenizer = open_tokenizer(name);
    const auto masks = std::make_shared<JsonMasks>(tokenizer, tokenizer->vocabulary_size());
    const OneByOne one_by_one(*tokenizer);
    for (const std::string& document : kDocuments) {
      JsonConstraint constraint(masks);
      JsonState state;
      for (const Token token : tokenizer->encode(document)) {
        const TokenMask mask = constraint.allowed();
        const auto expected = one_by_one.mask(state);
        ASSERT_TRUE(std::equal(mask.begin(), mask.end(), expected.begin(), expected.end()))
            << name << " before token " << token << " of " << document;
        ASSERT_TRUE(bit(mask, token)) << name << " token " << token << " of " << document;
        constraint.accept(token);
        state = text::accepts(state, tokenizer->bytes(token)).value();
      }
      const std::vector<Token> ends(tokenizer->end_tokens().begin(), tokenizer->end_tokens().end());
      EXPECT_EQ(tokens_of(constraint.allowed()), ends) << name;
      constraint.accept(ends[0]);
      EXPECT_EQ(tokens_of(constraint.allowed()), ends) << name;
    }
  }
}

// Ends an answer by single bytes, as the grammar says it can be.
class Closer {
 public:
  explicit Closer(const Tokenizer& tokenizer) {
    for (const std::string_view bytes : {text::kJsonClosingBytes, text::kJsonContinuationBytes})
      for (const char byte : bytes)
        for (std::size_t i = tokenizer.vocabulary_size(); i-- > 0;)
          if (const auto token = static_cast<Token>(i);
              tokenizer.kind(token) != TokenKind::control &&
              tokenizer.bytes(token) == std::string_view(&byte, 1)) {
            tokens_.push_back(token);
            break;
          }
  }
  std::optional<Token> next(TokenMask mask) const {
    for (const Token token : tokens_)
      if (bit(mask, token)) return token;
    return std::nullopt;
  }

 private:
  std::vector<Token> tokens_;
};

// Any allowed token; most masks allow nearly all, or few.
Token any_of(TokenMask mask, base::Random& random) {
  for (int tries = 0; tries < 20; ++tries)
    if (const auto token = static_cast<Token>(random.below(mask.size() * 64)); bit(mask, token))
      return token;
  const auto tokens = tokens_of(mask);
  return tokens.at(static_cast<std::size_t>(random.below(tokens.size())));
}

// Every other token is a short one with a sign, so that structure comes as often as text.
Token next_of_walk(TokenMask mask, const Tokenizer& tokenizer, base::Random& random) {
  const bool brief = random.below(2) == 0;
  Token token = any_of(mask, random);
  for (int tries = 0; brief && tries < 20; ++tries) {
    const std::string bytes = tokenizer.bytes(token);
    if (bytes.size() <= 3 && bytes.find_first_of("\"\\{}[],:09-.eE") != bytes.npos) break;
    token = any_of(mask, random);
  }
  return token;
}

TEST(JsonConstraint, AnyWalkThroughAllowedTokensEndsInAnObject) {
  base::Random random(2);
  for (const char* name : kVocabularies) {
    const TokenizerPointer tokenizer = open_tokenizer(name);
    JsonMode mode(tokenizer, tokenizer->vocabulary_size());
    const Closer closer(*tokenizer);
    for (int walk = 0; walk < 400; ++walk) {
      const auto constraint = mode.constraint();
      std::string text;
      JsonState state;
      const auto take = [&](Token token) {
        constraint->accept(token);
        text += tokenizer->bytes(token);
        state = text::accepts(state, tokenizer->bytes(token)).value();
      };
      const auto steps = random.below(50);
      for (std::uint64_t i = 0; i < steps && !text::complete(state); ++i) {
        take(next_of_walk(constraint->allowed(), *tokenizer, random));
      }
      for (int step = 0; step < 200 && !text::complete(state); ++step) {
        const auto token = closer.next(constraint->allowed());
        ASSERT_TRUE(token) << name << ": " << text;
        take(*token);
      }
      EXPECT_TRUE(nlohmann::json::parse(text, nullptr, false).is_object()) << name << ": " << text;
      EXPECT_TRUE(std::ranges::equal(tokens_of(constraint->allowed()), tokenizer->end_tokens()));
    }
  }
}

TEST(JsonMasks, StayRightWhenMoreAreAskedForThanAreKept) {
  const TokenizerPointer tokenizer = open_tokenizer("ggml-vocab-gpt-2.gguf");
  JsonMasks masks(tokenizer, tokenizer->vocabulary_size());
  std::vector<std::pair<JsonState, SharedMask>> all;
  for (unsigned stack = 0; stack < 32; ++stack)
    for (unsigned exponent = 0; exponent < 100; ++exponent) {  // 3,200 masks of 6 KB
      std::string prefix = "{\"a\":";
      for (unsigned depth = 0; depth < 5; ++depth)
        prefix += ((stack >> depth) & 1U) != 0 ? "[" : "{\"a\":";
      prefix += "1e" + std::to_string(exponent);
      all.emplace_back(text::accepts({}, prefix).value(), nullptr);
      all.back().second = masks.find(all.back().first);
    }
  EXPECT_EQ(masks.find(all.back().first), all.back().second);    // kept
  EXPECT_NE(masks.find(all.front().first), all.front().second);  // made anew
  const OneByOne one_by_one(*tokenizer);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(*masks.find(all[i].first), *all[i].second);
    if (i % 97 == 0) {
      EXPECT_EQ(*all[i].second, one_by_one.mask(all[i].first));
    }
  }
}

TEST(JsonMasks, AreTheSameForManyThreads) {
  const TokenizerPointer tokenizer =
      Tokenizer::create(format::Checkpoint::open(kTinyModel)->metadata());
  JsonMode mode(tokenizer, tokenizer->vocabulary_size());
  const OneByOne one_by_one(*tokenizer);
  std::vector<int> wrong(4);
  std::vector<std::thread> threads;
  for (std::size_t thread = 0; thread < wrong.size(); ++thread)
    threads.emplace_back([&, thread] {
      for (const std::string& document : kDocuments) {
        const auto constraint = mode.constraint();
        JsonState state;
        for (const Token token : tokenizer->encode(document)) {
          const auto expected = one_by_one.mask(state);
          wrong[thread] += std::ranges::equal(constraint->allowed(), expected) ? 0 : 1;
          constraint->accept(token);
          state = *text::accepts(state, tokenizer->bytes(token));
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(wrong.size()));
}

TEST(JsonMasks, LeaveOutTokensThatTheModelHasNoOutputFor) {
  const TokenizerPointer tokenizer = open_tokenizer("ggml-vocab-llama-spm.gguf");
  JsonMasks masks(tokenizer, 31000);
  const auto state = text::accepts({}, "{\"a").value();
  const auto tokens = tokens_of(*masks.find(state));
  ASSERT_FALSE(tokens.empty());
  EXPECT_LT(tokens.back(), 31000);
}

TEST(JsonConstraint, ATokenThatWasNotAllowedIsADefect) {
  const TokenizerPointer tokenizer = open_tokenizer("ggml-vocab-llama-spm.gguf");
  JsonMode mode(tokenizer, tokenizer->vocabulary_size());
  const auto constraint = mode.constraint();
  EXPECT_THROW(constraint->accept(tokenizer->find("}").value()), base::Error);
  EXPECT_THROW(constraint->accept(tokenizer->eos().value()), base::Error);
  EXPECT_THROW(constraint->accept(tokenizer->bos().value()), base::Error);
  constraint->accept(tokenizer->find("{").value());
}

// A vocabulary of whole characters: all of ASCII but `without`.
Pieces characters(std::string_view without) {
  Pieces pieces;
  pieces.add("<unk>", 2);
  pieces.add("<s>", 3);
  pieces.add("</s>", 3);
  for (char c = 33; c < 127; ++c)
    if (without.find(c) == without.npos) pieces.add(std::string(1, c));
  return pieces;
}

TEST(JsonMasks, RefuseAVocabularyThatCouldNotEndWhatItBegins) {
  for (const char byte : text::kJsonClosingBytes) {
    const TokenizerPointer tokenizer =
        Tokenizer::create(characters(std::string(1, byte)).metadata());
    JsonMode mode(tokenizer, tokenizer->vocabulary_size());
    for (int attempt = 0; attempt < 2; ++attempt) {
      try {
        mode.constraint();
        ADD_FAILURE() << byte;
      } catch (const base::Error& error) {
        EXPECT_EQ(error.fault(), base::Fault::unsupported);
        EXPECT_NE(std::string(error.what()).find(std::string("'") + byte + "'"), std::string::npos)
            << error.what();
      }
    }
  }
  const TokenizerPointer tokenizer = Tokenizer::create(characters("").metadata());
  EXPECT_NO_THROW(JsonMasks(tokenizer, tokenizer->vocabulary_size()));
  Pieces endless = characters("");
  endless.types[2] = 1;
  endless.texts[2] = "the";
  const TokenizerPointer without_end = Tokenizer::create(endless.metadata());
  ASSERT_TRUE(without_end->end_tokens().empty());
  EXPECT_THROW(JsonMasks(without_end, without_end->vocabulary_size()), base::Error);
}

TEST(JsonMasks, AVocabularyWithoutBytesHasWholeCharactersOnly) {
  Pieces pieces = characters("");
  const Token whole = pieces.add("\u00e9");
  const Token part = pieces.add("x\xC3");
  const TokenizerPointer tokenizer = Tokenizer::create(pieces.metadata());
  JsonMasks masks(tokenizer, tokenizer->vocabulary_size());
  const SharedMask mask = masks.find(text::accepts({}, "{\"").value());
  EXPECT_TRUE(bit(*mask, whole));
  EXPECT_FALSE(bit(*mask, part));
}

// One token closes and goes on: what stands below the innermost container counts too.
TEST(JsonMasks, SeeWhatATokenReachesBelowTheInnermostContainer) {
  const auto allowed = [](std::string_view piece, std::string_view prefix) {
    Pieces pieces = characters("");
    const Token token = pieces.add(std::string(piece));
    const TokenizerPointer tokenizer = Tokenizer::create(pieces.metadata());
    JsonMasks masks(tokenizer, tokenizer->vocabulary_size());
    for (const char* before : {R"({"a":1)", R"({"a":[1)", R"({"a":{"a":1)", R"({"a":[{"a":1)"})
      masks.find(text::accepts({}, before).value());  // what is kept must not be mistaken
    return bit(*masks.find(text::accepts({}, prefix).value()), token);
  };
  EXPECT_FALSE(allowed("},\"", R"({"a":1)"));
  EXPECT_TRUE(allowed("},\"", R"({"a":{"a":1)"));
  EXPECT_TRUE(allowed("},\"", R"({"a":[{"a":1)"));
  EXPECT_TRUE(allowed("},\"a\":", R"({"a":{"a":1)"));
  EXPECT_FALSE(allowed("},\"a\":", R"({"a":[{"a":1)"));
  EXPECT_FALSE(allowed("}]", R"({"a":1)"));
  EXPECT_FALSE(allowed("}]", R"({"a":{"a":1)"));
  EXPECT_TRUE(allowed("}]", R"({"a":[{"a":1)"));
  EXPECT_FALSE(allowed("}]}}", R"({"a":[{"a":1)"));
  EXPECT_TRUE(allowed("}]}}", R"({"a":{"a":[{"a":1)"));
}

class JsonAnswers : public testing::Test {
 protected:
  base::ThreadPool pool_{2};
  math::CpuDevice device_{pool_};
  StepArbiter arbiter_;
  std::shared_ptr<const format::Checkpoint> checkpoint_ = format::Checkpoint::open(kTinyModel);
  TokenizerPointer tokenizer_ = Tokenizer::create(checkpoint_->metadata());
  std::shared_ptr<const model::Model> model_ = model::Model::load(checkpoint_, device_, pool_);
  JsonMode mode_{tokenizer_, model_->sizes().vocab};

  // A random model would write strings for ever: what ends things is made likelier for it.
  Generation request(std::uint64_t seed, std::size_t max_tokens) {
    base::Random random(seed);
    Generation generation;
    for (std::size_t i = 0; i < 5; ++i)
      generation.prompt.push_back(static_cast<Token>(random.below(200)));
    generation.max_tokens = max_tokens;
    generation.sampling.seed = seed;
    for (const char* piece : {"\"", "}", "]"})
      generation.sampling.logit_bias.emplace_back(tokenizer_->find(piece).value(), 4.0F);
    generation.constraint = mode_.constraint();
    return generation;
  }

  static std::pair<std::string, FinishReason> answer(Stream& stream) {
    std::string text;
    while (const auto event = stream.next()) text += event->text;
    return {text + stream.finished().text, stream.finished().reason};
  }
};

TEST_F(JsonAnswers, ParseAndAreThoseOfTheGenerationAlone) {
  constexpr std::uint64_t kAnswers = 24;
  std::vector<std::pair<std::string, FinishReason>> alone;
  for (std::uint64_t seed = 0; seed < kAnswers; ++seed) {
    Engine one(model_, tokenizer_, device_, arbiter_, {.context = 256});
    alone.push_back(answer(*one.submit(request(seed, 200))));
  }
  std::size_t ended = 0;
  for (const auto& [text, reason] : alone) {
    const auto state = text::accepts({}, text);
    ASSERT_TRUE(state) << text;
    EXPECT_EQ(text::complete(*state), reason == FinishReason::stop) << text;
    if (reason != FinishReason::stop) continue;
    ++ended;
    EXPECT_TRUE(nlohmann::json::parse(text, nullptr, false).is_object()) << text;
  }
  EXPECT_GT(ended, kAnswers / 2);

  Engine together(model_, tokenizer_, device_, arbiter_,
                  {.context = 256, .positions = 8192, .max_rows = 16});
  std::vector<std::shared_ptr<Stream>> streams;
  std::vector<std::shared_ptr<Stream>> others;
  for (std::uint64_t seed = 0; seed < kAnswers; ++seed) {
    streams.push_back(together.submit(request(seed, 200)));
    Generation other = request(seed, 60);
    other.constraint = nullptr;
    others.push_back(together.submit(std::move(other)));
  }
  for (std::size_t i = 0; i < streams.size(); ++i) EXPECT_EQ(answer(*streams[i]), alone[i]);
  for (const auto& other : others) answer(*other);
}

TEST_F(JsonAnswers, AShorterAnswerIsTheBeginningOfALongerOne) {
  Engine one(model_, tokenizer_, device_, arbiter_, {.context = 256});
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    const auto whole = answer(*one.submit(request(seed, 200))).first;
    const auto [cut, reason] = answer(*one.submit(request(seed, 4)));
    if (reason == FinishReason::stop) continue;
    EXPECT_EQ(reason, FinishReason::length);
    // A character that the cut leaves unfinished is U+FFFD.
    EXPECT_TRUE(whole.starts_with(cut.substr(0, cut.find("\uFFFD")))) << cut << " of " << whole;
  }
}

TEST_F(JsonAnswers, NothingButEndTokensFollowsTheObject) {
  Engine one(model_, tokenizer_, device_, arbiter_, {.context = 256});
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    const auto [text, reason] = answer(*one.submit(request(seed, 200)));
    if (reason != FinishReason::stop) continue;
    Generation generation = request(seed, 200);
    generation.stop_at_end_tokens = false;
    EXPECT_EQ(answer(*one.submit(std::move(generation))), std::pair(text, FinishReason::length));
  }
}

}  // namespace
}  // namespace malina::engine
