// The continuations of one prompt as a trie: every distinct token at its place is computed once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/generation.h"
#include "model/kv_cache.h"

namespace malina::engine {

// Which nodes of the trie the next step computes, on which sequences, and what their logits say.
//
// Nodes that follow each other without a fork are one segment. Segments wait on a stack: the trie
// is walked depth first, in steps as wide as rows and pages allow. A segment is taken with all that
// is below it where that fits: a piece for each way down, on a sequence of its own, which inherits
// the keys and values of the nodes that it shares with pieces before it. Each step reads all
// weights, so one for a whole trie costs far less than one for each of its levels. Where a subtree
// does not fit, or most of it would be inheritance, its first segment is taken alone, and what
// follows it begins on forks of its sequence when it is computed. A node whose logits nobody needs
// (a last token) is not computed.
//
// The engine's thread.
class Branches {
 public:
  using Node = std::uint32_t;
  static constexpr Node kRoot = 0;  // the last token of the prompt

  // Continuations may begin alike and be equal; none may be empty.
  explicit Branches(std::span<const Continuation> continuations);

  std::size_t nodes() const { return rows_in_all_; }  // that are to be computed
  std::size_t longest() const { return longest_; }    // tokens of a continuation
  std::size_t computed() const { return computed_; }  // so far, again after a restart, too
  bool scores(Node node) const { return nodes_[node].scores_children; }
  Token token(Node node) const { return nodes_[node].token; }

  // The prompt is computed: its continuations may begin.
  void begin();
  bool begun() const { return begun_; }
  bool done() const { return begun_ && waiting_.empty() && planned_.empty(); }
  // Rows that could be computed in one step, where pages suffice.
  std::size_t ready() const { return ready_; }

  struct Piece {
    std::shared_ptr<model::Sequence> sequence;
    // What `sequence` appends: nodes of pieces before this one, then its own rows; each the child
    // of the one before it.
    std::vector<Node> inherited, nodes;

    model::PageCounts pages() const {
      return sequence->pages_needed(inherited.size() + nodes.size());
    }
  };
  enum class Extent { subtree, segment };
  // Takes at most so many rows of the next segment (at least one) into the next step, with all that
  // is below it where `most` says so and the rows suffice; `prompt` is the sequence that has
  // computed the prompt. The pieces that it took; none where no segment waits.
  std::span<const Piece> plan(std::size_t rows, const model::Sequence& prompt, Extent most);
  void give_back();  // what the last plan() took waits again; once
  // Something waits until this piece is computed, and will need pages beside its own.
  bool leads_on(const Piece& piece) const { return nodes_[piece.nodes.back()].open_below > 1; }
  std::span<const Piece> planned() const { return planned_; }
  std::size_t planned_rows() const;
  model::PageCounts planned_pages() const;  // that the pieces take
  void planned_computed();                  // the step is done: what follows them may begin

  // The logits after a node, and the logarithm of the sum of their exponentials.
  void take(Node node, std::span<const float> logits, double log_sum);
  // Gives all sequences back, to begin anew once the prompt is computed: what has its scores is not
  // computed again unless something below it needs it. `narrow`: from now on a segment at a time,
  // which takes the fewest pages.
  void restart(bool narrow);
  bool narrow() const { return narrow_; }
  // Pages a prompt's sequence needs beside its own and those of its longest continuation, where the
  // trie is walked a segment at a time: one for each fork on the way down.
  std::size_t least_pages() const { return deepest_fork_ + 1; }
  std::size_t sequences() const;  // that live

  // Of each continuation, of its tokens from scored_from on.
  std::vector<std::vector<double>> log_probabilities() const;

 private:
  struct NodeState {
    Token token = 0;
    Node parent = 0;
    std::vector<Node> children = {};
    bool scored = false;           // its own probability is wanted
    bool scores_children = false;  // and so the logits of this one
    bool needed = false;           // it or one below it has logits that are wanted
    bool scores_known = false;
    // A node is open where it or one below it has logits that are wanted and not there yet. Of the
    // open nodes from this one on: how many, how many ways down, and how many places of keys and
    // values would be inherited were they one step.
    std::size_t open_below = 0, ways = 0, copies = 0;

    bool open() const { return open_below > 0; }
    double log_probability = 0;
  };
  struct Segment {
    Node first;
    std::shared_ptr<model::Sequence> parent;  // null: the prompt's
    std::shared_ptr<model::Sequence> own;     // where it has begun
    std::size_t rows;
  };
  struct Taken {  // by one call of plan()
    Segment segment;
    std::size_t waiting, planned;  // how many there were without it
  };

  void insert(const Continuation& continuation, Node& leaf);
  std::size_t deepest_fork() const;
  void mark_open();
  Node only_next(Node node) const;
  std::vector<Node> open_children(Node node) const;
  bool one_step(const Segment& segment) const;
  std::size_t ready_of(const Segment& segment) const;
  void push(Segment segment);
  void push_children(Node node, const std::shared_ptr<model::Sequence>& sequence);
  void take_segment(const Segment& segment, std::size_t rows,
                    std::shared_ptr<model::Sequence> sequence);
  void take_subtree(Node first, const model::Sequence& start);

  std::vector<NodeState> nodes_;
  std::vector<Node> leaves_;                // of each continuation
  std::vector<std::size_t> scored_counts_;  // of each: tokens from scored_from on
  std::vector<Segment> waiting_;            // the next one last
  std::vector<Piece> planned_;
  std::optional<Taken> taken_;
  std::size_t rows_in_all_ = 0, ready_ = 0, longest_ = 0, deepest_fork_ = 0, computed_ = 0;
  bool begun_ = false, narrow_ = false;
};

}  // namespace malina::engine
