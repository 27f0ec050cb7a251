#include "text/jinja_strings.h"

#include <algorithm>
#include <unordered_set>

#include "text/jinja_operations.h"
#include "text/jinja_unicode.h"

namespace malina::text::jinja {
namespace {

void push(Runtime& runtime, Values& parts, const TextPointer& text, std::size_t begin,
          std::size_t end) {
  runtime.work(sizeof(Value));
  parts.push_back(Value::text(part_of(runtime, text, begin, end)));
}

std::size_t after_spaces(std::string_view bytes, std::size_t at) {
  while (at < bytes.size()) {
    std::size_t next = at;
    if (!is_space(next_character(bytes, next))) break;
    at = next;
  }
  return at;
}

std::size_t after_word(std::string_view bytes, std::size_t at) {
  while (at < bytes.size()) {
    std::size_t next = at;
    if (is_space(next_character(bytes, next))) break;
    at = next;
  }
  return at;
}

std::size_t before_spaces(std::string_view bytes, std::size_t at) {
  return strip_space(bytes.substr(0, at), false, true).size();
}

std::size_t before_word(std::string_view bytes, std::size_t at) {
  while (at > 0) {
    std::size_t previous = at;
    if (is_space(previous_character(bytes, previous))) break;
    at = previous;
  }
  return at;
}

// str.replace("", new): before every character and at the end.
void insert_everywhere(TextBuilder& out, const Text& text, const Text& inserted, Integer count) {
  std::size_t at = 0;
  while (count != 0) {
    --count;
    out.add(inserted);
    if (at >= text.bytes().size()) return;
    const std::size_t begin = at;
    next_character(text.bytes(), at);
    out.add(text, begin, at);
  }
  out.add(text, at, text.bytes().size());
}

}  // namespace

TextPointer strip(Runtime& runtime, const TextPointer& text, const Text* which, Ends ends) {
  const auto bytes = text->bytes();
  runtime.work(bytes.size());
  if (which == nullptr) {
    const auto inside = strip_space(bytes, ends.left, ends.right);
    const auto begin = static_cast<std::size_t>(inside.data() - bytes.data());
    return part_of(runtime, text, begin, begin + inside.size());
  }
  std::unordered_set<char32_t> characters;
  runtime.work(which->bytes().size() * 8);
  for (std::size_t at = 0; at < which->bytes().size();) {
    characters.insert(next_character(which->bytes(), at));
  }
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  while (ends.left && begin < end) {
    std::size_t next = begin;
    if (!characters.contains(next_character(bytes, next))) break;
    begin = next;
  }
  while (ends.right && end > begin) {
    std::size_t previous = end;
    if (!characters.contains(previous_character(bytes, previous))) break;
    end = previous;
  }
  return part_of(runtime, text, begin, end);
}

TextPointer replace(Runtime& runtime, const TextPointer& text, const Text& old_text,
                    const Text& new_text, Integer count) {
  const auto bytes = text->bytes();
  const auto old_bytes = old_text.bytes();
  runtime.work(bytes.size());
  TextBuilder out(runtime);
  if (old_bytes.empty()) {
    insert_everywhere(out, *text, new_text, count);
    return out.finish();
  }
  std::size_t at = 0;
  while (count != 0) {
    const std::size_t found = bytes.find(old_bytes, at);
    if (found == std::string_view::npos) break;
    --count;
    out.add(*text, at, found);
    out.add(new_text);
    at = found + old_bytes.size();
  }
  if (at == 0) return text;
  out.add(*text, at, bytes.size());
  return out.finish();
}

Values split(Runtime& runtime, const TextPointer& text, const Text* separator, Integer count) {
  const auto bytes = text->bytes();
  runtime.work(bytes.size());
  Values parts;
  if (separator == nullptr) {
    std::size_t at = after_spaces(bytes, 0);
    for (; at < bytes.size() && count != 0; --count) {
      const std::size_t end = after_word(bytes, at);
      push(runtime, parts, text, at, end);
      at = after_spaces(bytes, end);
    }
    if (at < bytes.size()) push(runtime, parts, text, at, bytes.size());
    return parts;
  }
  if (separator->bytes().empty()) runtime.fail("a separator cannot be empty");
  std::size_t at = 0;
  for (; count != 0; --count) {
    const std::size_t found = bytes.find(separator->bytes(), at);
    if (found == std::string_view::npos) break;
    push(runtime, parts, text, at, found);
    at = found + separator->bytes().size();
  }
  push(runtime, parts, text, at, bytes.size());
  return parts;
}

Values split_from_right(Runtime& runtime, const TextPointer& text, const Text* separator,
                        Integer count) {
  const auto bytes = text->bytes();
  runtime.work(bytes.size());
  Values parts;
  if (separator == nullptr) {
    std::size_t end = before_spaces(bytes, bytes.size());
    for (; end > 0 && count != 0; --count) {
      const std::size_t begin = before_word(bytes, end);
      push(runtime, parts, text, begin, end);
      end = before_spaces(bytes, begin);
    }
    if (end > 0) push(runtime, parts, text, 0, end);
  } else {
    if (separator->bytes().empty()) runtime.fail("a separator cannot be empty");
    std::size_t end = bytes.size();
    for (; count != 0; --count) {
      const std::size_t size = separator->bytes().size();
      if (end < size) break;
      const std::size_t found = bytes.rfind(separator->bytes(), end - size);
      if (found == std::string_view::npos) break;
      push(runtime, parts, text, found + size, end);
      end = found;
    }
    push(runtime, parts, text, 0, end);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

Values split_lines(Runtime& runtime, const TextPointer& text, bool keep_ends) {
  const auto bytes = text->bytes();
  runtime.work(bytes.size());
  Values lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t from = at;
    const char32_t c = next_character(bytes, at);
    if (!is_line_break(c)) continue;
    if (c == '\r' && at < bytes.size() && bytes[at] == '\n') ++at;
    push(runtime, lines, text, begin, keep_ends ? at : from);
    begin = at;
  }
  if (begin < bytes.size()) push(runtime, lines, text, begin, bytes.size());
  return lines;
}

TextPointer pad(Runtime& runtime, const TextPointer& text, Integer width, const Text& fill,
                Padding padding) {
  const auto length = static_cast<Integer>(text->characters());
  if (width <= length) return text;
  const Integer missing = width - length;
  Integer left = padding == Padding::left ? missing : 0;
  // str.center puts the odd one on the left of an odd width.
  if (padding == Padding::both) left = missing / 2 + (missing & width & 1);
  TextBuilder out(runtime);
  for (Integer i = 0; i < left; ++i) out.add(fill);
  out.add(*text);
  for (Integer i = left; i < missing; ++i) out.add(fill);
  return out.finish();
}

TextPointer escape_html(Runtime& runtime, const TextPointer& text) {
  if (text->markup()) return text;
  TextBuilder out(runtime);
  const auto bytes = text->bytes();
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const char c = bytes[at];
    const std::string_view entity = c == '&'    ? "&amp;"
                                    : c == '<'  ? "&lt;"
                                    : c == '>'  ? "&gt;"
                                    : c == '\'' ? "&#39;"
                                    : c == '"'  ? "&#34;"
                                                : bytes.substr(at, 1);
    out.add(entity, text->trusted_at(at));
  }
  return out.finish(true);
}

}  // namespace malina::text::jinja
