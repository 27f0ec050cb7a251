// Any trie, planned in any steps: each node once, behind all nodes above it, whatever was given
// back on the way.
#include "engine/branches.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/random.h"
#include "engine/test_pool.h"

namespace malina::engine {
namespace {

std::vector<Continuation> random_trie(base::Random& random) {
  std::vector<Continuation> continuations(1 + random.below(30));
  const std::uint64_t letters = 1 + random.below(4);
  const std::size_t common = random.below(2) * random.below(70);
  for (Continuation& each : continuations) {
    if (random.below(3) > 0) each.tokens.assign(common, 9);
    for (std::size_t i = 1 + random.below(12); i > 0; --i)
      each.tokens.push_back(static_cast<Token>(random.below(letters)));
  }
  return continuations;
}

// What stands in each sequence behind the prompt, as the steps write it.
class Walk {
 public:
  Walk(std::span<const Continuation> continuations, const model::Sequence& prompt)
      : branches_(continuations), prompt_(prompt) {
    for (const Continuation& each : continuations)
      for (std::size_t length = 1; length < each.tokens.size(); ++length)
        paths_.emplace(each.tokens.begin(),
                       each.tokens.begin() + static_cast<std::ptrdiff_t>(length));
    branches_.begin();
  }

  void begin_anew(bool narrow) {
    branches_.restart(narrow);
    branches_.begin();
    computed_.clear();
    tokens_.clear();
    again_ = true;
  }

  void step(base::Random& random) {
    std::size_t rows = 1 + random.below(60);
    while (rows > 0) {
      const std::size_t ready = branches_.ready(), sequences = branches_.sequences();
      const auto extent =
          random.below(3) == 0 ? Branches::Extent::segment : Branches::Extent::subtree;
      std::size_t taken = 0;
      for (const Branches::Piece& piece : branches_.plan(rows, prompt_, extent))
        taken += piece.nodes.size();
      if (taken == 0) break;
      ASSERT_LE(taken, rows);
      if (random.below(3) == 0) {
        branches_.give_back();
        ASSERT_EQ(branches_.ready(), ready);
        ASSERT_EQ(branches_.sequences(), sequences);
        continue;
      }
      rows -= taken;
    }
    ASSERT_TRUE(branches_.done() || !branches_.planned().empty());
    ASSERT_TRUE(branches_.planned().size() <= 1 || !branches_.narrow());
    write();
    branches_.planned_computed();
  }

  bool done() const { return branches_.done(); }
  void expect_all() const {
    EXPECT_EQ(computed_, paths_);
    EXPECT_TRUE(again_ || branches_.computed() == paths_.size());
    EXPECT_EQ(branches_.nodes(), paths_.size());
    EXPECT_EQ(branches_.ready(), 0U);
  }

 private:
  void write() {
    std::set<Branches::Node> now;  // in the order of the rows
    for (const Branches::Piece& piece : branches_.planned()) {
      model::Sequence& sequence = *piece.sequence;
      std::vector<Token>& tokens =
          tokens_[sequence.length() == prompt_.length() ? Key{} : key_of(sequence)];
      std::vector<Token> path = tokens;
      for (const Branches::Node node : piece.inherited) {
        ASSERT_TRUE(now.contains(node));
        path.push_back(branches_.token(node));
      }
      for (const Branches::Node node : piece.nodes) {
        path.push_back(branches_.token(node));
        ASSERT_TRUE(computed_.insert(path).second);
        now.insert(node);
      }
      written_.push_back({piece.sequence, path});
    }
    for (auto& [sequence, path] : written_) {
      while (sequence->length() < prompt_.length() + path.size()) sequence->extend();
      tokens_[key_of(*sequence)] = path;
    }
    written_.clear();
  }

  // Of forks at one length the pages differ, once they are written.
  using Key = std::pair<std::uint32_t, std::vector<std::optional<model::PagePool::Page>>>;
  static Key key_of(const model::Sequence& sequence) {
    Key key{sequence.length(), {}};
    for (std::uint32_t page = 0; page * math::kPagePositions < sequence.length(); ++page)
      key.second.push_back(sequence.pages_at(page)[0]);
    return key;
  }

  Branches branches_;
  const model::Sequence& prompt_;
  std::set<std::vector<Token>> paths_, computed_;
  bool again_ = false;  // some were computed more than once
  std::map<Key, std::vector<Token>> tokens_;
  std::vector<std::pair<std::shared_ptr<model::Sequence>, std::vector<Token>>> written_;
};

TEST(Branches, EachNodeIsComputedOnceBehindThoseAboveIt) {
  base::ThreadPool threads(1);
  math::CpuDevice device(threads);
  model::PagePool pool(device, sizes_of({0}), math::KvType::f16, 64000);
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    base::Random random(seed);
    model::Sequence prompt(pool);
    for (std::size_t i = 1 + random.below(80); i > 0; --i) prompt.extend();
    {
      const auto continuations = random_trie(random);
      Walk walk(continuations, prompt);
      for (int steps = 0; !walk.done() && steps < 5000; ++steps) {
        if (seed % 2 == 1 && random.below(10) == 0) walk.begin_anew(random.below(2) == 0);
        walk.step(random);
        if (HasFatalFailure()) return;
      }
      walk.expect_all();
    }
    prompt.clear();
    ASSERT_EQ(pool.free_pages().total(), pool.capacity().total());
  }
}

// A chain that is as long as the tree behind it is a step by itself: its pages are shared.
TEST(Branches, ALongWayToTheFirstForkIsNotCopied) {
  base::ThreadPool threads(1);
  math::CpuDevice device(threads);
  model::PagePool pool(device, sizes_of({0}), math::KvType::f16, 6400);
  model::Sequence prompt(pool);
  prompt.extend();
  for (const std::size_t chain : {std::size_t{1}, std::size_t{100}}) {
    std::vector<Continuation> continuations;
    for (Token label = 0; label < 20; ++label) {
      Continuation& each = continuations.emplace_back();
      each.tokens.assign(chain, 99);
      each.tokens.insert(each.tokens.end(), {label, 7, 8});
    }
    Branches branches(continuations);
    branches.begin();
    const auto pieces = branches.plan(1000, prompt, Branches::Extent::subtree);
    EXPECT_EQ(pieces.size(), chain == 1 ? 20U : 1U);
    EXPECT_EQ(branches.planned_rows(), chain == 1 ? 41U : 100U);
  }
}

}  // namespace
}  // namespace malina::engine
