// Changing the case of texts.
#include "text/jinja_strings.h"
#include "text/jinja_unicode.h"

namespace malina::text::jinja {
namespace {

class CaseChanger {
 public:
  CaseChanger(Runtime& runtime, const Text& text) : text_(text), out_(runtime) {
    runtime.work(text.bytes().size());
  }

  TextPointer run(CaseStyle style) {
    switch (style) {
      case CaseStyle::lower:
        lower(0, text_.bytes().size(), 0);
        break;
      case CaseStyle::upper:
        upper(0, text_.bytes().size());
        break;
      case CaseStyle::swap:
        swap();
        break;
      case CaseStyle::capitalized:
        capitalize();
        break;
      case CaseStyle::title_method:
        title();
        break;
      case CaseStyle::title_filter:
        title_words();
        break;
    }
    return out_.finish();
  }

 private:
  std::string_view bytes() const { return text_.bytes(); }

  void put(const Mapped& mapped, std::size_t from) {
    for (const char32_t c : mapped) {
      if (c != 0) out_.add_character(c, text_.trusted_at(from));
    }
  }
  void put_case(char32_t c, Case target, std::size_t from) {
    if (c == 0) return out_.add(std::string_view("\0", 1), text_.trusted_at(from));
    put(map_case(c, target), from);
  }

  void upper(std::size_t begin, std::size_t end) {
    for (std::size_t at = begin; at < end;) {
      const std::size_t from = at;
      put_case(next_character(bytes(), at), Case::upper, from);
    }
  }

  // `whole`: where the text that decides about a final sigma begins; it ends at `end`.
  void lower(std::size_t begin, std::size_t end, std::size_t whole) {
    for (std::size_t at = begin; at < end;) {
      const std::size_t from = at;
      const char32_t c = next_character(bytes(), at);
      lower_one(c, from, at, whole, end);
    }
  }

  void lower_one(char32_t c, std::size_t from, std::size_t after, std::size_t begin,
                 std::size_t end) {
    constexpr char32_t kCapitalSigma = 0x3A3;
    if (c == kCapitalSigma)
      return put({final_sigma(from, after, begin, end) ? 0x3C2U : 0x3C3U}, from);
    put_case(c, Case::lower, from);
  }

  // Unicode's Final_Sigma: a cased letter before it, none after it.
  bool final_sigma(std::size_t from, std::size_t after, std::size_t begin, std::size_t end) const {
    bool cased = false;
    for (std::size_t at = from; at > begin;) {
      const char32_t c = previous_character(bytes(), at);
      if (is_case_ignorable(c)) continue;
      cased = is_cased(c);
      break;
    }
    if (!cased) return false;
    for (std::size_t at = after; at < end;) {
      const char32_t c = next_character(bytes(), at);
      if (!is_case_ignorable(c)) return !is_cased(c);
    }
    return true;
  }

  void swap() {
    for (std::size_t at = 0; at < bytes().size();) {
      const std::size_t from = at;
      const char32_t c = next_character(bytes(), at);
      if (is_upper(c)) {
        lower_one(c, from, at, 0, bytes().size());
      } else if (is_lower(c)) {
        put_case(c, Case::upper, from);
      } else {
        out_.add(text_, from, at);
      }
    }
  }

  void capitalize() {
    if (bytes().empty()) return;
    std::size_t at = 0;
    const char32_t first = next_character(bytes(), at);
    put_case(first, Case::title, 0);
    lower(at, bytes().size(), 0);
  }

  void title() {
    bool inside = false;
    for (std::size_t at = 0; at < bytes().size();) {
      const std::size_t from = at;
      const char32_t c = next_character(bytes(), at);
      if (inside) {
        lower_one(c, from, at, 0, bytes().size());
      } else {
        put_case(c, Case::title, from);
      }
      inside = is_cased(c);
    }
  }

  static bool breaks_word(char32_t c) {
    return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_space(c);
  }

  // re.split("([-\s({\[<]+)"), of every part: part[0].upper() + part[1:].lower()
  void title_words() {
    for (std::size_t begin = 0; begin < bytes().size();) {
      std::size_t first_end = begin;
      const bool breaks = breaks_word(next_character(bytes(), first_end));
      std::size_t end = first_end;
      while (end < bytes().size()) {
        std::size_t next = end;
        if (breaks_word(next_character(bytes(), next)) != breaks) break;
        end = next;
      }
      upper(begin, first_end);
      lower(first_end, end, first_end);
      begin = end;
    }
  }

  const Text& text_;
  TextBuilder out_;
};

}  // namespace

TextPointer change_case(Runtime& runtime, const TextPointer& text, CaseStyle style) {
  return CaseChanger(runtime, *text).run(style);
}

}  // namespace malina::text::jinja
