// The first step of byte-level BPE: text into pieces that merges never cross. Each rule of the
// original tokenisers' regular expressions is a scanner written by hand, linear in the text.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace malina::text {

// The end of the piece that begins at text[begin], within [begin, end); greater than `begin`.
using Scanner = std::size_t (*)(const char* text, std::size_t begin, std::size_t end);

constexpr std::size_t kMaximumStages = 6;

// A constant of pre_tokenizer.cpp. Stages run one inside the other: each splits the pieces of the
// one before it, and a look-ahead never sees past its piece.
struct PreTokenizer {
  std::array<Scanner, kMaximumStages> stages{};  // null after the last
  bool ignore_merges = false;  // a piece that is a vocabulary entry is taken whole
  bool add_bos = false;        // unless the file says otherwise
  bool composed = false;       // text is brought to normalisation form C first

  // Null for a name that is not known. Names are those of `tokenizer.ggml.pre`.
  static const PreTokenizer* find(std::string_view name);

  // Calls visit(piece) for the pieces of `text` in order; joined they are `text`.
  template <typename Visit>
  void split(std::string_view text, const Visit& visit) const {
    split(text.data(), 0, text.size(), 0, visit);
  }

 private:
  template <typename Visit>
  void split(const char* text, std::size_t begin, std::size_t end, std::size_t stage,
             const Visit& visit) const {
    const Scanner scanner = stages[stage];
    const bool last = stage + 1 == kMaximumStages || stages[stage + 1] == nullptr;
    while (begin < end) {
      const std::size_t next = scanner(text, begin, end);
      if (last)
        visit(std::string_view(text + begin, next - begin));
      else
        split(text, begin, next, stage + 1, visit);
      begin = next;
    }
  }
};

}  // namespace malina::text
