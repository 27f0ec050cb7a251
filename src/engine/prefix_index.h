// Which prefixes are computed already: a trie of full pages, so that prompts which begin alike
// share their keys and values.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "model/adapter.h"
#include "model/kv_cache.h"
#include "text/tokenizer.h"

namespace malina::engine {

using text::Token;

// What has to be equal, beside the tokens, for keys and values to be the same and to be shared.
struct PrefixKey {
  std::string scope;
  std::shared_ptr<const model::Adapter> adapter;
  bool long_context = false;

  std::strong_ordering operator<=>(const PrefixKey& other) const;
  bool operator==(const PrefixKey& other) const { return (*this <=> other) == 0; }
};

// An edge of the trie is the 32 tokens of a page and they are compared themselves, no hash of them:
// what is found is what was asked for. A page is kept from the position 0 on only, in the layers
// without a window always, in those with one where the sequence that it came from still had it: a
// window that is shorter than what a step appends leaves gaps. A prefix ends only where all is
// there that the position after it sees.
//
// The index holds a reference to each page. It gives pages up, the longest unused first and always
// from the end of a prefix, when room has to be made. One thread.
class PrefixIndex {
 public:
  explicit PrefixIndex(model::PagePool& pool) : pool_(pool) {}
  ~PrefixIndex() { clear(); }
  PrefixIndex(const PrefixIndex&) = delete;
  PrefixIndex& operator=(const PrefixIndex&) = delete;

  // The longest run of full pages that `tokens` begin with: what Sequence::start_from() takes.
  std::vector<model::PageSet> find(const PrefixKey& key, std::span<const Token> tokens);
  // Keeps the full pages of a sequence that has computed `tokens` (it may hold more positions).
  void keep(const PrefixKey& key, std::span<const Token> tokens, const model::Sequence& sequence);

  // Gives up pages until `needed` are free. False, and nothing is given up, where all that nobody
  // else holds would not be enough.
  bool make_room(const model::PageCounts& needed);
  void clear();
  std::size_t size() const { return nodes_; }  // pages of the trie

 private:
  using PageTokens = std::array<Token, math::kPagePositions>;
  struct Node {
    Node* parent = nullptr;
    const PageTokens* tokens = nullptr;  // its key among the parent's children
    const PrefixKey* root = nullptr;     // of a root; then it has no parent, tokens and pages
    model::PageSet pages;
    std::uint64_t used = 0;
    std::map<PageTokens, std::unique_ptr<Node>> children;
  };
  using Leaves = std::set<std::pair<std::uint64_t, Node*>>;  // the longest unused first

  void touch(Node& node);
  void add_pages(Node& node, const model::PageSet& pages);
  bool visible_pages_are_there(std::span<Node* const> path) const;
  bool frees(const Node& node, const model::PageCounts& needed) const;
  void remove(Leaves::iterator leaf);

  model::PagePool& pool_;
  std::map<PrefixKey, std::unique_ptr<Node>> roots_;
  Leaves leaves_;
  std::uint64_t clock_ = 0;
  std::size_t nodes_ = 0;
};

}  // namespace malina::engine
