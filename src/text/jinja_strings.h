// Python's str methods on texts. Every byte of a result keeps the provenance that it had; what
// comes of a changed letter has that letter's.
#pragma once

#include <optional>
#include <string_view>

#include "text/jinja_value.h"

namespace malina::text::jinja {

enum class CaseStyle {
  lower,
  upper,
  swap,
  capitalized,   // str.capitalize: the first letter
  title_method,  // str.title: every letter after one without a case
  title_filter,  // Jinja2's filter: after spaces, '-' and opening brackets
};
TextPointer change_case(Runtime& runtime, const TextPointer& text, CaseStyle style);

struct Ends {
  bool left = true, right = true;
};
// Of white space, or of the characters of `which`.
TextPointer strip(Runtime& runtime, const TextPointer& text, const Text* which, Ends ends);

// `count` below 0: everywhere.
TextPointer replace(Runtime& runtime, const TextPointer& text, const Text& old_text,
                    const Text& new_text, Integer count);

// At white space, or at `separator`; `count` below 0: everywhere.
Values split(Runtime& runtime, const TextPointer& text, const Text* separator, Integer count);
Values split_from_right(Runtime& runtime, const TextPointer& text, const Text* separator,
                        Integer count);
Values split_lines(Runtime& runtime, const TextPointer& text, bool keep_ends);

// Padded to `width` characters with `fill`, one character.
enum class Padding { left, right, both };
TextPointer pad(Runtime& runtime, const TextPointer& text, Integer width, const Text& fill,
                Padding padding);

TextPointer escape_html(Runtime& runtime, const TextPointer& text);  // marked as markup

}  // namespace malina::text::jinja
