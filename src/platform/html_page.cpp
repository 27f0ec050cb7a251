#include "platform/html_page.h"

#include <algorithm>

namespace malina::platform {

namespace {

// The colours of series differ in brightness as well, and their lines in dashes.
constexpr std::string_view kStyle = R"(<style>
:root { color-scheme: light dark; --line: #8884; --bar: #2a78c8; --bad: #c62828; --warn: #b26a00; --good: #2e7d32;
  --s1: #1f66b0; --s2: #c2500a; --s3: #2e7d32; --s4: #7b3fa0; }
@media (prefers-color-scheme: dark) { :root { --bar: #64a8f0; --bad: #ff7b72; --warn: #e3a13a; --good: #6cc070;
  --s1: #64a8f0; --s2: #ff9d57; --s3: #6cc070; --s4: #c89bea; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .3rem; border-bottom: 1px solid var(--line); }
h3 { margin: 1.4rem 0 .3rem; font-size: 1rem; }
table { border-collapse: collapse; margin: .3rem 0; } td, th { padding: .15rem .9rem .15rem 0; text-align: left; vertical-align: top; }
th { font-weight: 600; } .facts td:first-child { opacity: .75; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.chosen td { font-weight: 600; } caption { text-align: left; opacity: .75; font-size: .9rem; }
.scroll { max-height: 22rem; overflow: auto; border: 1px solid var(--line); border-radius: 4px; padding: .2rem .6rem; }
.scroll th { position: sticky; top: -0.2rem; background: Canvas; }
.error { color: var(--bad); } .warning { color: var(--warn); } .good { color: var(--good); }
.verdict { font-size: 1.15rem; font-weight: 600; } code { overflow-wrap: anywhere; } ul { padding-left: 1.2rem; }
.plots { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; } figure { margin: .5rem 0; max-width: 100%; }
figcaption { font-weight: 600; margin-bottom: .2rem; } details { margin: .2rem 0 .6rem; } summary { cursor: pointer; }
svg { max-width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; } svg .bar { fill: var(--bar); } svg .mark { stroke: var(--bad); }
svg .axis { stroke: currentColor; opacity: .6; } svg .grid { stroke: var(--line); } svg .guide { stroke: currentColor; opacity: .5; stroke-dasharray: 3 4; }
svg .line { fill: none; stroke-width: 2; } svg .whisker { stroke-width: 1.5; }
svg .s1 { stroke: var(--s1); } svg .s2 { stroke: var(--s2); stroke-dasharray: 7 3; } svg .s3 { stroke: var(--s3); stroke-dasharray: 2 3; } svg .s4 { stroke: var(--s4); stroke-dasharray: 9 3 2 3; }
svg .d1 { fill: var(--s1); stroke: var(--s1); } svg .d2 { fill: var(--s2); stroke: var(--s2); } svg .d3 { fill: var(--s3); stroke: var(--s3); } svg .d4 { fill: var(--s4); stroke: var(--s4); }
svg .area { fill: var(--bar); opacity: .35; }
small { opacity: .75; }
</style>)";

}  // namespace

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      case '\n':
        result += "⏎";
        break;
      default:
        if ((c >= 0 && c < 0x20) || c == 0x7f)
          result += "\xef\xbf\xbd";
        else
          result.push_back(c);
    }
  }
  return result;
}

std::string foreign(std::string_view text) { return "<bdi>" + escaped(text) + "</bdi>"; }

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, "\u202f");
  return digits;
}

std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

std::string shortened(std::string_view text, std::size_t characters) {
  std::size_t seen = 0;
  for (std::size_t at = 0; at < text.size(); ++at)
    if ((text[at] & 0xC0) != 0x80 && seen++ == characters)
      return std::string(text.substr(0, at)) + "…";
  return std::string(text);
}

HtmlPage::HtmlPage(std::string_view title) {
  text_ = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n{}</head><body>\n",
      escaped(title), kStyle);
}

void HtmlPage::fact(std::string_view name, std::string_view value) {
  add("<tr><td>{}</td><td>{}</td></tr>\n", name, value);
}

void HtmlPage::table(std::string_view caption, const std::vector<Column>& columns,
                     const Rows& rows) {
  add("<div class=\"scroll\"><table><caption>{}</caption><thead><tr>", caption);
  for (const Column& column : columns)
    add("<th scope=\"col\"{}>{}</th>", column.number ? " class=\"number\"" : "", column.name);
  text_ += "</tr></thead><tbody>\n";
  for (const Cells& row : rows) {
    text_ += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i)
      add("<td{}>{}</td>", columns[i].number ? " class=\"number\"" : "", row[i]);
    text_ += "</tr>\n";
  }
  text_ += "</tbody></table></div>\n";
}

void HtmlPage::details(std::string_view caption, const std::vector<Column>& columns,
                       const Rows& rows) {
  add("<details><summary>{}</summary>\n", caption);
  table(caption, columns, rows);
  text_ += "</details>\n";
}

std::string HtmlPage::finish() && {
  text_ += "</body></html>\n";
  return std::move(text_);
}

}  // namespace malina::platform
