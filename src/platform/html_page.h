// A page that needs nothing else: no script, no other file; light or dark as its reader has it.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace malina::platform {

// For text and for attributes in quotes. Control characters cannot stand in a page.
std::string escaped(std::string_view text);
// Foreign text, isolated so that its direction of writing does not turn what is around it.
std::string foreign(std::string_view text);
std::string grouped(std::uint64_t number);  // "98 362", with narrow spaces
std::string percent(double share);          // "91.3 %"
// To fit before a bar; cut between characters.
std::string shortened(std::string_view text, std::size_t characters = 36);

// Builds the page's text. Whatever is given as a cell, a fact or an argument stands as it is:
// foreign text passes through foreign() or escaped() first.
class HtmlPage {
 public:
  explicit HtmlPage(std::string_view title);  // of the window; escaped here

  template <typename... Arguments>
  void add(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    text_ += fmt::format(format, std::forward<Arguments>(arguments)...);
  }
  void add_text(std::string_view text) { text_ += text; }

  void begin_facts() { text_ += "<table class=\"facts\">\n"; }
  void fact(std::string_view name, std::string_view value);
  void end_table() { text_ += "</table>\n"; }

  struct Column {
    std::string_view name;
    bool number = false;
  };
  using Cells = std::vector<std::string>;
  using Rows = std::vector<Cells>;
  // A table that scrolls where it is long; `caption` is for those who do not see the page too.
  void table(std::string_view caption, const std::vector<Column>& columns, const Rows& rows);
  // The same, folded away until its reader wants it.
  void details(std::string_view caption, const std::vector<Column>& columns, const Rows& rows);

  std::string finish() &&;

 private:
  std::string text_;
};

}  // namespace malina::platform
