// The continuations of one prompt as a trie: every distinct token at its place is computed once.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/generation.h"
#include "model/kv_cache.h"

namespace malina::engine {

// Which nodes of the trie the next step computes, on which sequences, and what their logits say.
//
// Nodes that follow each other without a fork are one segment: rows of one sequence, which is a
// fork of the one that the segment begins after. A page that is partly filled is copied when a fork
// extends it, so a segment begins only when the one before it is computed. Segments wait on a
// stack: the trie is walked depth first, in pieces as wide as rows and pages allow, so that few
// sequences live at a time. A node whose logits nobody needs (a last token) is not computed.
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
  // Rows that could be computed now, of all segments that wait.
  std::size_t ready() const { return ready_; }

  struct Piece {
    std::shared_ptr<model::Sequence> sequence;
    std::vector<Node> nodes;  // each the child of the one before it; the next rows of `sequence`
  };
  // Takes at most so many rows of the next segment (at least one) into the next step; `prompt` is
  // the sequence that has computed the prompt. False where no segment waits.
  bool plan(std::size_t rows, const model::Sequence& prompt);
  void give_back();  // the last piece that was planned waits again
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
    bool open = false;             // and are not there yet
    bool scores_known = false;
    double log_probability = 0;
  };
  struct Segment {
    Node first;
    std::shared_ptr<model::Sequence> parent;  // null: the prompt's
    std::shared_ptr<model::Sequence> own;     // where it has begun
    std::size_t rows;
  };

  void insert(const Continuation& continuation, Node& leaf);
  std::size_t deepest_fork() const;
  void mark_open();
  Node only_next(Node node) const;
  std::vector<Node> open_children(Node node) const;
  void push_children(Node node, const std::shared_ptr<model::Sequence>& sequence);

  std::vector<NodeState> nodes_;
  std::vector<Node> leaves_;                // of each continuation
  std::vector<std::size_t> scored_counts_;  // of each: tokens from scored_from on
  std::vector<Segment> waiting_;            // the next one last
  std::vector<Piece> planned_;
  std::size_t rows_in_all_ = 0, ready_ = 0, longest_ = 0, deepest_fork_ = 0, computed_ = 0;
  bool begun_ = false, narrow_ = false;
};

}  // namespace malina::engine
