#include "tune/span_task.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/quote.h"
#include "text/unicode.h"

namespace malina::tune {

using base::Error;
using base::Fault;

SpanTexts SpanTexts::subset(std::span<const std::size_t> rows) const {
  SpanTexts part;
  part.licence = licence;
  for (const std::size_t row : rows) {
    part.texts.push_back(texts[row]);
    part.slots.push_back(slots[row]);
  }
  return part;
}

namespace {

// The longest of those that overlap; of equals the first.
std::vector<Slot> apart(std::vector<Slot> slots, std::size_t& left_out) {
  std::stable_sort(slots.begin(), slots.end(),
                   [](const Slot& a, const Slot& b) { return a.end - a.start > b.end - b.start; });
  std::vector<Slot> kept;
  for (Slot& slot : slots) {
    const bool free = std::none_of(kept.begin(), kept.end(), [&](const Slot& other) {
      return slot.start < other.end && other.start < slot.end;
    });
    if (free)
      kept.push_back(std::move(slot));
    else
      ++left_out;
  }
  std::sort(kept.begin(), kept.end(),
            [](const Slot& a, const Slot& b) { return a.start < b.start; });
  return kept;
}

// Without white space at both ends; may become empty.
eval::WordPlace trimmed(eval::WordPlace place, std::string_view text);

void add_row(SpanTexts& data, const std::filesystem::path& path, Row row) {
  const auto fail = [&](std::uint64_t line, std::string_view what) {
    throw Error(Fault::invalid_argument, fmt::format("{}, line {}: {}", path.string(), line, what));
  };
  if (const auto* error = std::get_if<DatasetError>(&row)) fail(error->place.line, error->what);
  Example& example = std::get<Example>(row);
  Classification* content = std::get_if<Classification>(&example.content);
  if (content == nullptr || !content->has_slots)
    fail(example.place.line, "a tagger needs a text and the list of its spans ('slots')");
  if (content->text.empty()) fail(example.place.line, "an empty text");
  if (data.licence.empty()) data.licence = example.licence;
  for (Slot& slot : content->slots) {
    const eval::WordPlace inner = trimmed({slot.start, slot.end}, content->text);
    slot.start = inner.begin;
    slot.end = inner.end;
  }
  std::erase_if(content->slots, [](const Slot& slot) { return slot.start == slot.end; });
  data.texts.push_back(std::move(content->text));
  data.slots.push_back(apart(std::move(content->slots), data.overlapping));
}

bool is_space(std::string_view text, std::size_t at) {
  return (text::character_at(text.data(), at, text.size()).classes & text::kSpace) != 0;
}

eval::WordPlace trimmed(eval::WordPlace place, std::string_view text) {
  while (place.begin < place.end && is_space(text, place.begin)) {
    place.begin += text::character_at(text.data(), place.begin, text.size()).bytes;
  }
  while (place.end > place.begin) {
    std::size_t last = place.end - 1;
    while (last > place.begin && (static_cast<unsigned char>(text[last]) & 0xC0U) == 0x80) --last;
    if (!is_space(text, last)) break;
    place.end = last;
  }
  place.begin = std::min(place.begin, place.end);
  return place;
}

// Where each token's bytes stand. A model that puts a space before a text has it in the first one.
Places places_of(std::span<const text::Token> tokens, const text::Tokenizer& tokenizer,
                 std::string_view text) {
  Places places;
  std::size_t at = 0;
  for (const text::Token token : tokens) {
    std::string bytes = tokenizer.bytes(token);
    if (places.empty() && tokenizer.adds_space_prefix() && bytes.starts_with(' ') &&
        !text.starts_with(' '))
      bytes.erase(0, 1);
    if (text.substr(at, bytes.size()) != bytes)
      throw Error(Fault::unsupported,
                  fmt::format("the model's tokenizer changes the text {}, so that spans in it "
                              "cannot be found",
                              base::in_quotes(text)));
    places.push_back({at, at + bytes.size()});
    at += bytes.size();
  }
  return places;
}

}  // namespace

SpanTexts read_span_texts(std::span<const std::filesystem::path> files,
                          const ReadOptions& options) {
  SpanTexts data;
  for (const auto& path : files) {
    ExampleReader reader(path, options);
    while (auto row = reader.next()) add_row(data, path, std::move(*row));
    data.files.push_back(base::digest_file(reader.file()));
  }
  if (data.texts.empty())
    throw Error(Fault::invalid_argument,
                files.empty() ? "no data" : fmt::format("{}: no row", files.front().string()));
  return data;
}

std::vector<std::string> types_of(const SpanTexts& data) {
  std::set<std::string> types;
  for (const auto& slots : data.slots)
    for (const Slot& slot : slots) types.insert(slot.type);
  return {types.begin(), types.end()};
}

std::vector<eval::TaggedSpan> tagged_spans(std::span<const Slot> slots, const Places& places,
                                           std::span<const std::string> types) {
  std::vector<eval::TaggedSpan> spans;
  std::size_t next = 0;
  for (const Slot& slot : slots) {
    const auto type = std::lower_bound(types.begin(), types.end(), slot.type);
    while (next < places.size() && places[next].end <= slot.start) ++next;
    std::size_t last = next;
    while (last < places.size() && places[last].begin < slot.end) ++last;
    if (last == next) continue;
    if (type != types.end() && *type == slot.type)
      spans.push_back(
          {.type = static_cast<std::size_t>(type - types.begin()), .first = next, .last = last});
    next = last;
  }
  return spans;
}

std::vector<FoundSpan> found_spans(std::span<const eval::TaggedSpan> spans, const Places& places,
                                   std::string_view text) {
  std::vector<FoundSpan> found;
  for (const eval::TaggedSpan& span : spans) {
    eval::WordPlace place{places[span.first].begin, places[span.last - 1].end};
    // A token may be a part of a character: a span has whole ones.
    const auto inside = [&](std::size_t at) {
      return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80;
    };
    while (place.begin > 0 && inside(place.begin)) --place.begin;
    while (inside(place.end)) ++place.end;
    place = trimmed(place, text);
    if (place.begin < place.end)
      found.push_back({span.type, place.begin, place.end, span.probability});
  }
  return found;
}

SpanForm::Tokens SpanForm::tokens(const text::Tokenizer& tokenizer, std::string_view text) const {
  Tokens result;
  std::vector<text::Token> read = tokenizer.encode(text);
  result.ids = tokenizer.encode(text, {.add_bos = tokenizer.adds_bos(), .parse_special = false});
  const std::size_t before = result.ids.size() - std::min(read.size(), result.ids.size());
  const auto line_end = tokenizer.encode("\n");
  if (result.ids.size() + line_end.size() + read.size() <= max_tokens) {
    result.ids.insert(result.ids.end(), line_end.begin(), line_end.end());
    result.read_from = result.ids.size();
    result.ids.insert(result.ids.end(), read.begin(), read.end());
  } else {
    result.read_from = before;
    result.truncated = result.ids.size() > max_tokens;
    if (result.truncated) {
      result.ids.resize(max_tokens);
      read.resize(max_tokens - before);
    }
  }
  result.places = places_of(read, tokenizer, text);
  // A token's leading space belongs to no span.
  for (eval::WordPlace& place : result.places)
    if (const eval::WordPlace inner = trimmed(place, text); inner.begin < inner.end) place = inner;
  return result;
}

SpanExamples span_examples(const SpanTexts& data, std::span<const std::string> types,
                           const SpanForm& form, const text::Tokenizer& tokenizer) {
  SpanExamples result;
  for (std::size_t row = 0; row < data.size(); ++row) {
    SpanForm::Tokens read = form.tokens(tokenizer, data.texts[row]);
    result.truncated += read.truncated ? 1 : 0;
    if (read.places.empty()) continue;
    const auto tags =
        eval::tags_of(tagged_spans(data.slots[row], read.places, types), read.places.size());
    TrainingExample example{.tokens = std::move(read.ids)};
    example.targets.assign(read.read_from, -1);
    example.targets.insert(example.targets.end(), tags.begin(), tags.end());
    result.longest = std::max(result.longest, example.tokens.size());
    result.examples.push_back(std::move(example));
    result.places.push_back(std::move(read.places));
    result.rows.push_back(row);
  }
  return result;
}

}  // namespace malina::tune
