#include "engine/branches.h"

#include <algorithm>
#include <utility>

namespace malina::engine {

namespace {

// A place that is inherited is written in each layer, strided: a fiftieth of what its row costs.
// A step more costs as much as some rows.
constexpr std::size_t kMostCopiesOfARow = 2, kMostCopies = 256;

}  // namespace

Branches::Branches(std::span<const Continuation> continuations) {
  nodes_.emplace_back();
  for (const Continuation& continuation : continuations) {
    insert(continuation, leaves_.emplace_back());
    scored_counts_.push_back(continuation.tokens.size() - continuation.scored_from);
    longest_ = std::max(longest_, continuation.tokens.size());
  }
  // Children have higher numbers than their parents.
  for (Node node = static_cast<Node>(nodes_.size()) - 1; node > kRoot; --node) {
    NodeState& state = nodes_[node];
    NodeState& parent = nodes_[state.parent];
    state.needed = state.needed || state.scores_children;
    parent.scores_children = parent.scores_children || state.scored;
    parent.needed = parent.needed || state.needed;
    if (state.needed) ++rows_in_all_;
  }
  mark_open();
  deepest_fork_ = deepest_fork();
}

void Branches::insert(const Continuation& continuation, Node& leaf) {
  Node at = kRoot;
  for (std::size_t i = 0; i < continuation.tokens.size(); ++i) {
    const auto& children = nodes_[at].children;
    const Token token = continuation.tokens[i];
    const auto place =
        std::lower_bound(children.begin(), children.end(), token,
                         [&](Node child, Token value) { return nodes_[child].token < value; });
    if (place != children.end() && nodes_[*place].token == token) {
      at = *place;
    } else {
      const auto child = static_cast<Node>(nodes_.size());
      nodes_[at].children.insert(place, child);
      nodes_.push_back({.token = token, .parent = at});
      at = child;
    }
    nodes_[at].scored = nodes_[at].scored || i >= continuation.scored_from;
  }
  leaf = at;
}

// The most nodes on a way down that have several children to be computed. Without recursion: a
// continuation may be as long as the context.
std::size_t Branches::deepest_fork() const {
  std::vector<std::size_t> forks(nodes_.size(), 0);
  for (Node node = static_cast<Node>(nodes_.size()); node-- > 0;) {
    if (open_children(node).size() > 1) ++forks[node];
    std::size_t& above = forks[nodes_[node].parent];
    above = std::max(above, forks[node]);
  }
  return forks[kRoot];
}

// What is to be computed: nodes whose logits are wanted and not known, and those on the way there.
void Branches::mark_open() {
  for (Node node = static_cast<Node>(nodes_.size()); node-- > 0;) {
    NodeState& state = nodes_[node];
    state.open_below = state.ways = state.copies = 0;
    for (const Node child : state.children) {
      state.open_below += nodes_[child].open_below;
      state.ways += nodes_[child].ways;
      state.copies += nodes_[child].copies;
    }
    if (state.open_below == 0 && (!state.scores_children || state.scores_known)) continue;
    ++state.open_below;
    state.ways = std::max<std::size_t>(state.ways, 1);
    state.copies += state.ways - 1;
  }
}

std::vector<Branches::Node> Branches::open_children(Node node) const {
  std::vector<Node> open;
  for (const Node child : nodes_[node].children)
    if (nodes_[child].open()) open.push_back(child);
  return open;
}

// The next node of a segment; kRoot where it ends.
Branches::Node Branches::only_next(Node node) const {
  Node next = kRoot;
  for (const Node child : nodes_[node].children) {
    if (!nodes_[child].open()) continue;
    if (next != kRoot) return kRoot;
    next = child;
  }
  return next;
}

void Branches::begin() {
  begun_ = true;
  push_children(kRoot, nullptr);
}

// Whether it is worth it to take all that is below: a long segment is a step by itself, whose pages
// the forks behind it share.
bool Branches::one_step(const Segment& segment) const {
  const NodeState& first = nodes_[segment.first];
  return !narrow_ && first.open_below > segment.rows &&
         first.copies <= std::min(kMostCopies, kMostCopiesOfARow * first.open_below);
}

std::size_t Branches::ready_of(const Segment& segment) const {
  return one_step(segment) ? nodes_[segment.first].open_below : segment.rows;
}

void Branches::push(Segment segment) {
  ready_ += ready_of(segment);
  waiting_.push_back(std::move(segment));
}

// So that the first child is the first to come off the stack.
void Branches::push_children(Node node, const std::shared_ptr<model::Sequence>& sequence) {
  const std::vector<Node> children = open_children(node);
  for (auto child = children.rbegin(); child != children.rend(); ++child) {
    std::size_t rows = 1;
    for (Node next = only_next(*child); next != kRoot; next = only_next(next)) ++rows;
    push({*child, sequence, nullptr, rows});
  }
}

std::span<const Branches::Piece> Branches::plan(std::size_t rows, const model::Sequence& prompt,
                                                Extent most) {
  if (waiting_.empty() || (narrow_ && !planned_.empty())) return {};
  Segment segment = std::move(waiting_.back());
  waiting_.pop_back();
  ready_ -= ready_of(segment);
  taken_ = {segment, waiting_.size(), planned_.size()};
  const std::shared_ptr<model::Sequence> start =
      segment.own
          ? segment.own
          : std::make_shared<model::Sequence>((segment.parent ? *segment.parent : prompt).fork());
  if (most == Extent::subtree && one_step(segment) && nodes_[segment.first].open_below <= rows)
    take_subtree(segment.first, *start);
  else
    take_segment(segment, rows, start);
  return std::span(planned_).subspan(taken_->planned);
}

void Branches::take_segment(const Segment& segment, std::size_t rows,
                            std::shared_ptr<model::Sequence> sequence) {
  Piece piece{std::move(sequence), {}, {}};
  Node node = segment.first;
  const std::size_t taken = std::min(rows, segment.rows);
  while (piece.nodes.size() < taken) {
    piece.nodes.push_back(node);
    if (piece.nodes.size() < segment.rows) node = only_next(node);
  }
  if (taken < segment.rows) push({node, nullptr, piece.sequence, segment.rows - taken});
  planned_.push_back(std::move(piece));
}

// A piece for each way down; where it forks, the first child goes on and the others wait.
void Branches::take_subtree(Node first, const model::Sequence& start) {
  struct Way {
    std::vector<Node> above;
    Node next;
  };
  std::vector<Way> ways{{{}, first}};
  while (!ways.empty()) {
    Way way = std::move(ways.back());
    ways.pop_back();
    Piece piece{std::make_shared<model::Sequence>(start.fork()), way.above, {}};
    for (Node node = way.next;;) {
      piece.nodes.push_back(node);
      way.above.push_back(node);
      const std::vector<Node> children = open_children(node);
      if (children.empty()) break;
      for (std::size_t other = children.size(); other-- > 1;)
        ways.push_back({way.above, children[other]});
      node = children.front();
    }
    planned_.push_back(std::move(piece));
  }
}

void Branches::give_back() {
  Taken taken = std::move(*taken_);
  taken_.reset();
  for (; waiting_.size() > taken.waiting; waiting_.pop_back()) ready_ -= ready_of(waiting_.back());
  planned_.erase(planned_.begin() + static_cast<std::ptrdiff_t>(taken.planned), planned_.end());
  push(std::move(taken.segment));
}

std::size_t Branches::planned_rows() const {
  std::size_t rows = 0;
  for (const Piece& piece : planned_) rows += piece.nodes.size();
  return rows;
}

model::PageCounts Branches::planned_pages() const {
  model::PageCounts pages;
  for (const Piece& piece : planned_) pages += piece.pages();
  return pages;
}

void Branches::planned_computed() {
  // The first piece's children are to come off the stack first.
  std::vector<Piece> pieces = std::exchange(planned_, {});
  taken_.reset();
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
    computed_ += piece->nodes.size();
    if (only_next(piece->nodes.back()) == kRoot)
      push_children(piece->nodes.back(), piece->sequence);
  }
}

void Branches::take(Node node, std::span<const float> logits, double log_sum) {
  NodeState& state = nodes_[node];
  for (const Node child : state.children)
    if (nodes_[child].scored)
      nodes_[child].log_probability =
          double{logits[static_cast<std::size_t>(nodes_[child].token)]} - log_sum;
  state.scores_known = true;
}

void Branches::restart(bool narrow) {
  planned_.clear();
  taken_.reset();
  waiting_.clear();
  ready_ = 0;
  begun_ = false;
  narrow_ = narrow_ || narrow;
  mark_open();
}

std::size_t Branches::sequences() const {
  std::size_t count = planned_.size();
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    const Segment& segment = waiting_[i];
    if (segment.own) ++count;
    if (segment.parent && (i == 0 || waiting_[i - 1].parent != segment.parent)) ++count;
  }
  return count;
}

std::vector<std::vector<double>> Branches::log_probabilities() const {
  std::vector<std::vector<double>> result;
  for (std::size_t i = 0; i < leaves_.size(); ++i) {
    std::vector<double>& scores = result.emplace_back(scored_counts_[i]);
    Node node = leaves_[i];
    for (std::size_t token = scores.size(); token-- > 0; node = nodes_[node].parent)
      scores[token] = nodes_[node].log_probability;
  }
  return result;
}

}  // namespace malina::engine
