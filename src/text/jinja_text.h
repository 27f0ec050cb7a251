// A string of a template: UTF-8 with the provenance of every byte.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja_runtime.h"

namespace malina::text::jinja {

// Immutable. Lengths and positions are bytes unless they are called characters (code points, as
// Python counts).
class Text {
 public:
  struct Run {
    std::size_t end;  // from the end of the run before
    bool trusted;
  };
  // `bytes` is valid UTF-8 and the last run ends where it does.
  Text(std::string bytes, std::vector<Run> runs, bool markup = false);
  Text(std::string bytes, bool trusted);

  std::string_view bytes() const { return bytes_; }
  std::size_t characters() const { return characters_; }
  const std::vector<Run>& runs() const { return runs_; }
  bool trusted_at(std::size_t byte) const { return runs_[run_at(byte)].trusted; }
  bool trusted() const;  // all of it; an empty text is
  std::size_t run_at(std::size_t byte) const;
  // The byte where a character begins; `character` may be the number of characters.
  std::size_t byte_of(std::size_t character) const;
  // Marked by the filter `safe`: Jinja2 would escape what is joined to it.
  bool markup() const { return markup_; }

 private:
  std::string bytes_;
  std::vector<Run> runs_;
  std::size_t characters_;
  bool markup_;
};

using TextPointer = std::shared_ptr<const Text>;

// Makes a text piece by piece. Every byte is charged to the runtime and the length is bounded.
class TextBuilder {
 public:
  explicit TextBuilder(Runtime& runtime) : runtime_(runtime) {}

  void add(std::string_view bytes, bool trusted);
  void add(const Text& text) { add(text, 0, text.bytes().size()); }
  void add(const Text& text, std::size_t begin, std::size_t end);
  void add_character(char32_t character, bool trusted);
  std::size_t size() const { return bytes_.size(); }
  TextPointer finish(bool markup = false);

 private:
  Runtime& runtime_;
  std::string bytes_;
  std::vector<Text::Run> runs_;
};

TextPointer part_of(Runtime& runtime, const TextPointer& text, std::size_t begin, std::size_t end);

}  // namespace malina::text::jinja
