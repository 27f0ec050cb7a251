#include "engine/prefix_index.h"

#include <algorithm>
#include <functional>

namespace malina::engine {

using math::kPagePositions;
using model::PageCounts;

std::strong_ordering PrefixKey::operator<=>(const PrefixKey& other) const {
  if (const auto order = scope <=> other.scope; order != 0) return order;
  if (adapter.get() != other.adapter.get())
    return std::less<const model::Adapter*>{}(adapter.get(), other.adapter.get())
               ? std::strong_ordering::less
               : std::strong_ordering::greater;
  return long_context <=> other.long_context;
}

// A parent is used whenever its child is, and only what has no children can be removed.
void PrefixIndex::touch(Node& node) {
  const bool leaf = node.children.empty() && node.parent != nullptr;
  if (leaf) leaves_.erase({node.used, &node});
  node.used = clock_;
  if (leaf) leaves_.emplace(node.used, &node);
}

std::vector<model::PageSet> PrefixIndex::find(const PrefixKey& key, std::span<const Token> tokens) {
  const auto root = roots_.find(key);
  if (root == roots_.end()) return {};
  ++clock_;
  std::vector<Node*> path;
  Node* node = root->second.get();
  PageTokens page;
  for (std::size_t at = 0; at + kPagePositions <= tokens.size(); at += kPagePositions) {
    std::copy_n(tokens.begin() + static_cast<std::ptrdiff_t>(at), kPagePositions, page.begin());
    const auto child = node->children.find(page);
    if (child == node->children.end()) break;
    node = child->second.get();
    path.push_back(node);
  }
  while (!path.empty() && !visible_pages_are_there(path)) path.pop_back();
  std::vector<model::PageSet> pages;
  for (Node* each : path) {
    touch(*each);
    pages.push_back(each->pages);
  }
  return pages;
}

bool PrefixIndex::visible_pages_are_there(std::span<Node* const> path) const {
  const auto length = static_cast<std::uint32_t>(path.size() * kPagePositions);
  for (std::size_t kind = 0; kind < pool_.kinds(); ++kind)
    for (std::size_t i = model::first_page_seen(pool_.window(kind), length); i < path.size(); ++i)
      if (!path[i]->pages[kind]) return false;
  return true;
}

void PrefixIndex::keep(const PrefixKey& key, std::span<const Token> tokens,
                       const model::Sequence& sequence) {
  const std::size_t pages =
      std::min<std::size_t>(tokens.size(), sequence.length()) / kPagePositions;
  if (pages == 0) return;
  ++clock_;
  auto [root, is_new] = roots_.try_emplace(key);
  if (is_new) {
    root->second = std::make_unique<Node>();
    root->second->root = &root->first;
  }
  Node* node = root->second.get();
  PageTokens page;
  for (std::size_t i = 0; i < pages; ++i) {
    std::copy_n(tokens.begin() + static_cast<std::ptrdiff_t>(i * kPagePositions), kPagePositions,
                page.begin());
    const auto [child, added] = node->children.try_emplace(page);
    if (added) {
      leaves_.erase({node->used, node});
      child->second = std::make_unique<Node>();
      child->second->parent = node;
      child->second->tokens = &child->first;
      ++nodes_;
    }
    node = child->second.get();
    add_pages(*node, sequence.pages_at(static_cast<std::uint32_t>(i)));
    touch(*node);
  }
}

// The first that computed a page keeps it there: any other of the same tokens has the same bits.
void PrefixIndex::add_pages(Node& node, const model::PageSet& pages) {
  for (std::size_t kind = 0; kind < pool_.kinds(); ++kind) {
    if (node.pages[kind] || !pages[kind]) continue;
    pool_.keep(kind, *pages[kind]);
    node.pages[kind] = pages[kind];
  }
}

bool PrefixIndex::frees(const Node& node, const PageCounts& needed) const {
  const PageCounts free = pool_.free_pages();
  for (std::size_t kind = 0; kind < pool_.kinds(); ++kind)
    if (needed.kinds[kind] > free.kinds[kind] && node.pages[kind] &&
        pool_.idle(kind, *node.pages[kind]))
      return true;
  return false;
}

// Pages that a sequence holds too would not become free: those ends of prefixes are passed over,
// and go only where nothing else is left, for what stands before them.
bool PrefixIndex::make_room(const PageCounts& needed) {
  PageCounts room = pool_.free_pages();
  room += pool_.idle_pages();
  if (!needed.fits_in(room)) return false;
  while (!needed.fits_in(pool_.free_pages())) {
    auto leaf = std::find_if(leaves_.begin(), leaves_.end(),
                             [&](const auto& entry) { return frees(*entry.second, needed); });
    remove(leaf != leaves_.end() ? leaf : leaves_.begin());
  }
  return true;
}

void PrefixIndex::remove(Leaves::iterator leaf) {
  Node* node = leaf->second;
  leaves_.erase(leaf);
  for (std::size_t kind = 0; kind < pool_.kinds(); ++kind)
    if (node->pages[kind]) pool_.forget(kind, *node->pages[kind]);
  Node* parent = node->parent;
  parent->children.erase(parent->children.find(*node->tokens));
  --nodes_;
  if (!parent->children.empty()) return;
  if (parent->root != nullptr)
    roots_.erase(roots_.find(*parent->root));
  else
    leaves_.emplace(parent->used, parent);
}

void PrefixIndex::clear() {
  while (!leaves_.empty()) remove(leaves_.begin());
}

}  // namespace malina::engine
