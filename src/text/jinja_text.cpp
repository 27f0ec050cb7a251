#include "text/jinja_text.h"

#include <algorithm>

#include "text/jinja_unicode.h"

namespace malina::text::jinja {

Text::Text(std::string bytes, std::vector<Run> runs, bool markup)
    : bytes_(std::move(bytes)),
      runs_(std::move(runs)),
      characters_(count_characters(bytes_)),
      markup_(markup) {}

Text::Text(std::string bytes, bool trusted) : Text(std::move(bytes), std::vector<Run>()) {
  if (!bytes_.empty()) runs_.push_back({.end = bytes_.size(), .trusted = trusted});
}

bool Text::trusted() const {
  return std::all_of(runs_.begin(), runs_.end(), [](const Run& run) { return run.trusted; });
}

std::size_t Text::run_at(std::size_t byte) const {
  const auto run = std::upper_bound(
      runs_.begin(), runs_.end(), byte,
      [](std::size_t wanted, const Run& candidate) { return wanted < candidate.end; });
  return static_cast<std::size_t>(run - runs_.begin());
}

std::size_t Text::byte_of(std::size_t character) const {
  if (characters_ == bytes_.size()) return character;
  std::size_t byte = 0;
  for (; character > 0; --character) next_character(bytes_, byte);
  return byte;
}

void TextBuilder::add(std::string_view bytes, bool trusted) {
  if (bytes.empty()) return;
  runtime_.check_length(bytes_.size() + bytes.size());
  runtime_.work(bytes.size());
  bytes_ += bytes;
  if (!runs_.empty() && runs_.back().trusted == trusted) {
    runs_.back().end = bytes_.size();
  } else {
    runtime_.work(sizeof(Text::Run));
    runs_.push_back({.end = bytes_.size(), .trusted = trusted});
  }
}

void TextBuilder::add(const Text& text, std::size_t begin, std::size_t end) {
  for (std::size_t run = text.run_at(begin); begin < end; ++run) {
    const std::size_t stop = std::min(end, text.runs()[run].end);
    add(text.bytes().substr(begin, stop - begin), text.runs()[run].trusted);
    begin = stop;
  }
}

void TextBuilder::add_character(char32_t character, bool trusted) {
  std::string bytes;
  append_character(bytes, character);
  add(bytes, trusted);
}

TextPointer TextBuilder::finish(bool markup) {
  return std::make_shared<const Text>(std::move(bytes_), std::move(runs_), markup);
}

TextPointer part_of(Runtime& runtime, const TextPointer& text, std::size_t begin, std::size_t end) {
  if (begin == 0 && end == text->bytes().size() && !text->markup()) return text;
  TextBuilder part(runtime);
  part.add(*text, begin, end);
  return part.finish();
}

}  // namespace malina::text::jinja
