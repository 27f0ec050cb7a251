// A sequence's logits are the same bits alone and in any company, however its tokens are cut into
// batches, whatever was forked, and on any number of threads.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <map>

#include "base/error.h"
#include "base/random.h"
#include "model/transformer.h"

namespace malina::model {
namespace {

constexpr std::size_t kTokens = 80;

struct Setting {
  std::string file;
  math::Precision precision;
  math::KvType kv_type;
  math::Isa isa;
};

std::vector<Setting> settings() {
  std::vector<Setting> all;
  for (const math::Isa isa : math::available_isas())
    for (const auto precision : {math::Precision::fast, math::Precision::exact})
      for (const char* file : {"tiny/q4_1", "tiny/k_types", "tiny/window_8", "tiny/untied_f32",
                               "families/gemma3", "families/mixtral", "families/phi2"})
        for (const auto type : {math::KvType::f32, math::KvType::f16})
          all.push_back({file, precision, type, isa});
  // Keys and values in 8 bits need heads of 32 values, which this one has.
  for (const math::Isa isa : math::available_isas())
    all.push_back({"tiny/k_types", math::Precision::fast, math::KvType::q8_0, isa});
  return all;
}

using Logits = std::vector<float>;

class Bench {
 public:
  Bench(const Setting& setting, unsigned threads)
      : setting_(setting),
        pool_(threads),
        device_(pool_, setting.isa),
        model_(Model::load(
            format::Checkpoint::open(std::filesystem::path(MALINA_SOURCE_DIR "/tests/golden") /
                                     (setting.file + ".gguf")),
            device_, pool_)),
        pages_(device_, model_->sizes(), setting.kv_type, 64 * kTokens),
        transformer_(model_, device_, {.precision = setting.precision, .max_rows = 512}) {}

  // Appends rows[i] to its sequence and returns the logits of each.
  std::vector<Logits> forward(const std::vector<Row>& rows) {
    std::vector<Logits> results(rows.size());
    transformer_.forward(rows, [&](const Output& output) {
      for (std::size_t i = 0; i < output.rows.size(); ++i) {
        const float* values = math::host_floats(output.values) + i * output.values.stride;
        results[output.rows[i]].assign(values, values + output.values.columns);
      }
    });
    return results;
  }

  Sequence sequence() { return Sequence(pages_); }
  std::size_t vocab() const { return model_->sizes().vocab; }
  std::size_t free_pages() const { return pages_.free_pages().total(); }
  std::size_t capacity() const { return pages_.capacity().total(); }

 private:
  Setting setting_;
  base::ThreadPool pool_;
  math::CpuDevice device_;
  std::shared_ptr<const Model> model_;
  PagePool pages_;
  Transformer transformer_;
};

bool same_bits(const Logits& a, const Logits& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<std::int32_t> random_tokens(base::Random& random, std::size_t vocab) {
  std::vector<std::int32_t> tokens(kTokens);
  for (auto& token : tokens) token = static_cast<std::int32_t>(random.below(vocab));
  return tokens;
}

// What each prefix of each text gives alone, token by token, on one thread.
std::vector<std::vector<Logits>> solo(const Setting& setting,
                                      const std::vector<std::vector<std::int32_t>>& texts) {
  Bench bench(setting, 1);
  std::vector<std::vector<Logits>> results;
  for (const auto& text : texts) {
    Sequence sequence = bench.sequence();
    auto& of_text = results.emplace_back();
    for (const auto token : text)
      of_text.push_back(bench.forward({{token, &sequence, Wants::logits}})[0]);
  }
  return results;
}

struct Live {
  std::size_t text;
  std::size_t done = 0;
  std::unique_ptr<Sequence> sequence;
  std::size_t first_row = 0, rows = 0;  // of its own, in the batch that is being put together
};

// A batch of rows, and which sequences inherit each.
struct Mix {
  std::vector<Row> rows;
  std::vector<std::vector<Sequence*>> heirs;
  std::vector<const Logits*> wanted;

  const std::vector<Row>& finished() {
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].heirs = heirs[i];
    return rows;
  }
};

// A sequence of the same text that has rows from the same position on: some of them are inherited.
void inherit(Live& heir, std::span<const Live> before, Mix& mix, base::Random& random) {
  for (const Live& other : before) {
    if (other.text != heir.text || other.rows == 0 || other.done - other.rows != heir.done)
      continue;
    const std::size_t count = 1 + random.below(other.rows);
    for (std::size_t i = 0; i < count; ++i)
      mix.heirs[other.first_row + i].push_back(heir.sequence.get());
    heir.done += count;
    return;
  }
}

// One mix: random pieces of random texts in each batch, forks at random moments, until all are
// done.
void run_mix(Bench& bench, const std::vector<std::vector<std::int32_t>>& texts,
             const std::vector<std::vector<Logits>>& expected, base::Random& random) {
  std::vector<Live> live;
  const std::size_t count = 1 + random.below(4);
  for (std::size_t i = 0; i < count; ++i)
    live.push_back({random.below(texts.size()), 0, std::make_unique<Sequence>(bench.sequence())});
  while (!live.empty()) {
    if (live.size() < 8 && random.below(4) == 0) {
      const Live& parent = live[random.below(live.size())];
      live.push_back(
          {parent.text, parent.done, std::make_unique<Sequence>(parent.sequence->fork())});
    }
    Mix mix;
    for (Live& one : live) {
      one.rows = 0;
      const std::size_t before = one.done;
      if (random.below(2) == 0) inherit(one, {live.data(), &one}, mix, random);
      const std::size_t most = std::min<std::size_t>(kTokens - one.done, 512 / 8 - 1);
      const std::size_t piece = random.below(3) == 0 ? random.below(most + 1)
                                                     : std::min<std::size_t>(random.below(3), most);
      const bool inherits = one.done != before;
      if (!inherits) one.first_row = mix.rows.size();
      for (std::size_t i = 0; i < piece; ++i, ++one.done) {
        mix.rows.push_back({texts[one.text][one.done], one.sequence.get(), Wants::logits});
        mix.heirs.emplace_back();
        mix.wanted.push_back(&expected[one.text][one.done]);
      }
      if (!inherits) one.rows = piece;
    }
    const auto results = bench.forward(mix.finished());
    for (std::size_t i = 0; i < results.size(); ++i)
      ASSERT_TRUE(same_bits(results[i], *mix.wanted[i]));
    std::erase_if(live, [&](const Live& one) {
      return one.done == kTokens || (one.done > 40 && random.below(8) == 0);
    });
  }
}

TEST(Invariance, LogitsAreTheBitsOfTheSequenceAlone) {
  for (const Setting& setting : settings()) {
    SCOPED_TRACE(setting.file + " " + std::string(math::name(setting.isa)) + " " +
                 std::string(math::name(setting.kv_type)) +
                 (setting.precision == math::Precision::exact ? " exact" : ""));
    base::Random random(20260101);
    std::vector<std::vector<std::int32_t>> texts;
    {
      Bench bench(setting, 1);
      for (int i = 0; i < 4; ++i) texts.push_back(random_tokens(random, bench.vocab()));
    }
    const auto expected = solo(setting, texts);
    for (const unsigned threads : {1U, 2U, 3U}) {
      Bench bench(setting, threads);
      for (int mix = 0; mix < 5; ++mix) {
        run_mix(bench, texts, expected, random);
        if (HasFatalFailure()) return;
        EXPECT_EQ(bench.free_pages(), bench.capacity()) << "pages leaked";
      }
    }
  }
}

// A whole tree of forks in one batch, which goes on after it.
TEST(Invariance, HeirsHaveWhatTheirRowsComputed) {
  const Setting setting{"tiny/q4_1", math::Precision::fast, math::KvType::f16,
                        math::available_isas().front()};
  base::Random random(3);
  std::vector<std::vector<std::int32_t>> texts;
  Bench bench(setting, 2);
  for (int i = 0; i < 3; ++i) texts.push_back(random_tokens(random, bench.vocab()));
  // The second begins as the first for 50 tokens, the third for 45: prompts of 40.
  std::copy_n(texts[0].begin(), 50, texts[1].begin());
  std::copy_n(texts[0].begin(), 45, texts[2].begin());
  const auto expected = solo(setting, texts);
  Sequence prompt = bench.sequence();
  std::vector<Row> rows;
  for (std::size_t i = 0; i < 40; ++i) rows.push_back({texts[0][i], &prompt, Wants::logits});
  bench.forward(rows);
  std::array forks{prompt.fork(), prompt.fork(), prompt.fork()};
  const std::array all{&forks[1], &forks[2]};
  rows.clear();
  for (std::size_t i = 40; i < 70; ++i) {
    rows.push_back({texts[0][i], forks.data(), Wants::logits});
    if (i < 50) rows.back().heirs = std::span(all).first(i < 45 ? 2 : 1);
  }
  for (std::size_t i = 50; i < 60; ++i) rows.push_back({texts[1][i], &forks[1], Wants::logits});
  for (std::size_t i = 45; i < 79; ++i) rows.push_back({texts[2][i], &forks[2], Wants::logits});
  const auto results = bench.forward(rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& wanted = i < 30   ? expected[0][40 + i]
                         : i < 40 ? expected[1][20 + i]
                                  : expected[2][5 + i];
    EXPECT_TRUE(same_bits(results[i], wanted)) << i;
  }
  EXPECT_TRUE(
      same_bits(bench.forward({{texts[1][60], &forks[1], Wants::logits}})[0], expected[1][60]));
  EXPECT_TRUE(
      same_bits(bench.forward({{texts[2][79], &forks[2], Wants::logits}})[0], expected[2][79]));
  // Whoever stands elsewhere inherits nothing, and nothing was changed.
  const std::array elsewhere{&forks[1]};
  const Row row{1, forks.data(), Wants::logits, elsewhere};
  EXPECT_THROW(bench.forward({row}), base::Error);
  EXPECT_EQ(forks[0].length(), 70u);
  EXPECT_EQ(forks[1].length(), 61u);
}

// Bits hold per mode, and here also across instruction sets: every kernel has one definition.
TEST(Invariance, InstructionSetsAgreeBitForBit) {
  for (const char* file :
       {"tiny/q4_1", "tiny/k_types", "families/gemma3", "families/mixtral", "families/phi2"}) {
    base::Random random(7);
    Setting setting{file, math::Precision::fast, math::KvType::f16, math::Isa::baseline};
    if (math::available_isas().front() != math::Isa::baseline) continue;
    std::vector<std::vector<std::int32_t>> texts;
    {
      Bench bench(setting, 1);
      texts.push_back(random_tokens(random, bench.vocab()));
    }
    const auto expected = solo(setting, texts);
    for (const math::Isa isa : math::available_isas()) {
      setting.isa = isa;
      const auto actual = solo(setting, texts);
      for (std::size_t i = 0; i < kTokens; ++i)
        ASSERT_TRUE(same_bits(actual[0][i], expected[0][i])) << file << " at " << i;
    }
  }
}

}  // namespace
}  // namespace malina::model
