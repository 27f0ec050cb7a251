// The report of a check as one HTML page. Everything from the data set passes through escaped():
// the page may be opened by somebody who does not trust the data.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "platform/data_sets.h"

namespace malina::platform {

namespace {

using tune::PartReport;

constexpr std::size_t kMostRows = 200;  // of a table; the JSON has more
constexpr std::size_t kMostBars = 100;

// For text and for attributes in quotes. Control characters cannot stand in a page.
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

// Foreign text, isolated so that its direction of writing does not turn what is around it.
std::string foreign(std::string_view text) { return "<bdi>" + escaped(text) + "</bdi>"; }

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, "\u202f");
  return digits;
}

constexpr std::string_view kHead = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data check</title>
<style>
:root { color-scheme: light dark; --line: #8884; --bar: #2a78c8; --bad: #c62828; --warn: #b26a00; --good: #2e7d32; }
@media (prefers-color-scheme: dark) { :root { --bar: #64a8f0; --bad: #ff7b72; --warn: #e3a13a; --good: #6cc070; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .3rem; } h2 { margin: 2.2rem 0 .3rem; border-bottom: 1px solid var(--line); }
h3 { margin: 1.4rem 0 .3rem; font-size: 1rem; }
table { border-collapse: collapse; margin: .3rem 0; } td, th { padding: .15rem .9rem .15rem 0; text-align: left; vertical-align: top; }
th { font-weight: 600; } .facts td:first-child { opacity: .7; white-space: nowrap; } .number { text-align: right; font-variant-numeric: tabular-nums; }
.scroll { max-height: 22rem; overflow: auto; border: 1px solid var(--line); border-radius: 4px; padding: .2rem .6rem; }
.scroll th { position: sticky; top: -0.2rem; background: Canvas; }
.error { color: var(--bad); } .warning { color: var(--warn); } .good { color: var(--good); }
.verdict { font-size: 1.15rem; font-weight: 600; } code { overflow-wrap: anywhere; } ul { padding-left: 1.2rem; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; } svg .bar { fill: var(--bar); } svg .mark { stroke: var(--bad); }
small { opacity: .7; }
</style></head><body>
)";

class Page {
 public:
  explicit Page(const DataReport& report) : report_(report) {}

  std::string make() {
    text_ = kHead;
    verdict();
    for (const PartReport& part : report_.parts) this->part(part);
    text_ += "</body></html>\n";
    return std::move(text_);
  }

 private:
  template <typename... Arguments>
  void add(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    text_ += fmt::format(format, std::forward<Arguments>(arguments)...);
  }

  void verdict() {
    text_ += "<h1>Data check</h1>\n";
    const bool refused = report_.refused();
    add("<p class=\"verdict {}\">{}</p>\n", refused ? "error" : "good",
        refused                    ? "Refused"
        : report_.findings.empty() ? "Nothing was found wrong"
                                   : "Accepted, with warnings");
    if (report_.findings.empty()) return;
    text_ += "<ul>\n";
    for (const tune::Finding& finding : report_.findings)
      add("<li><span class=\"{0}\">{0}</span> <b>{1}</b>: {2}</li>\n",
          severity_name(finding.severity), escaped(finding.part), foreign(finding.what));
    text_ += "</ul>\n";
  }

  void fact(std::string_view name, const std::string& value) {
    add("<tr><td>{}</td><td>{}</td></tr>\n", name, value);
  }

  void part(const PartReport& part) {
    add("<h2>{}</h2>\n<table class=\"facts\">\n", escaped(part.name));
    fact("file", foreign(part.path.string()));
    fact("format", foreign(describe(part.format)));
    fact("rows", part.bad_rows == 0 ? grouped(part.rows)
                                    : fmt::format("{}, and {} that cannot be used",
                                                  grouped(part.rows), grouped(part.bad_rows)));
    fact("bytes", grouped(part.bytes));
    fact("SHA-256", "<code>" + part.digest.hex() + "</code>");
    licence(part);
    for (const std::string& prefix : part.wrappers.prefixes)
      fact("before texts", "<code>" + foreign(prefix) + "</code>");
    for (const std::string& suffix : part.wrappers.suffixes)
      fact("after texts", "<code>" + foreign(suffix) + "</code>");
    text_ += "</table>\n";
    errors(part);
    bars("Labels", "rows", part.labels);
    bars("Spans", "spans", part.slot_types);
    histogram("Characters of a text", part.characters, std::nullopt);
    if (part.tokens) histogram("Tokens of a row", *part.tokens, report_.max_tokens);
    truncated(part);
    repeats("Rows that stand in an earlier part", part.leaks, true);
    repeats("Rows that repeat", part.duplicates, false);
    contradictions(part);
    suspected(part);
    personal_data(part);
  }

  void licence(const PartReport& part) {
    std::string text;
    for (const auto& [licence, rows] : part.licences)
      text += fmt::format("{}{} ({} rows)", text.empty() ? "" : ", ", foreign(licence), rows);
    if (!part.licence_file.empty())
      text += (text.empty() ? "" : ", ") + foreign(part.licence_file.string());
    fact("licence", text.empty() ? "none is named" : text);
  }

  void begin_table(std::string_view title, std::uint64_t all,
                   std::initializer_list<std::string_view> columns) {
    add("<h3>{} <small>{}</small></h3>\n<div class=\"scroll\"><table><tr>", title, grouped(all));
    for (const std::string_view column : columns) add("<th>{}</th>", column);
    text_ += "</tr>\n";
  }
  void end_table(std::uint64_t all, std::size_t shown) {
    text_ += "</table></div>\n";
    if (all > shown)
      add("<small>{} are shown; the JSON report lists up to {}.</small>\n", grouped(shown),
          grouped(tune::kMostListed));
  }

  void errors(const PartReport& part) {
    if (part.bad_rows == 0) return;
    begin_table("Rows that cannot be used", part.bad_rows, {"line", "why"});
    const std::size_t shown = std::min(part.errors.size(), kMostRows);
    for (std::size_t i = 0; i < shown; ++i)
      add("<tr><td class=\"number\">{}</td><td>{}</td></tr>\n", part.errors[i].place.line,
          foreign(part.errors[i].what));
    end_table(part.bad_rows, shown);
  }

  // One horizontal bar for each, most first.
  void bars(std::string_view title, std::string_view unit,
            const std::vector<std::pair<std::string, std::uint64_t>>& counts) {
    if (counts.empty()) return;
    constexpr int kHeight = 18, kName = 260, kWidth = 520;
    const std::size_t shown = std::min(counts.size(), kMostBars);
    add("<h3>{} <small>{}</small></h3>\n<div class=\"scroll\"><svg width=\"{}\" height=\"{}\" "
        "role=\"img\" aria-label=\"{} of each\">\n",
        title, grouped(counts.size()), kName + kWidth + 90, kHeight * static_cast<int>(shown),
        unit);
    const auto most = static_cast<double>(std::max<std::uint64_t>(counts.front().second, 1));
    for (std::size_t i = 0; i < shown; ++i) {
      const int top = kHeight * static_cast<int>(i);
      const double width = kWidth * static_cast<double>(counts[i].second) / most;
      add("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>"
          "<rect class=\"bar\" x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\"><title>{}: {}"
          "</title></rect><text x=\"{:.1f}\" y=\"{}\">{}</text>\n",
          kName - 8, top + 13, escaped(shortened(counts[i].first)), kName, top + 3, width,
          kHeight - 5, escaped(counts[i].first), grouped(counts[i].second), kName + width + 6,
          top + 13, grouped(counts[i].second));
    }
    text_ += "</svg></div>\n";
    if (counts.size() > shown)
      add("<small>The {} most frequent are shown.</small>\n", grouped(shown));
  }

  // To fit before its bar; cut between characters.
  static std::string shortened(const std::string& text) {
    constexpr std::size_t kMost = 36;
    std::size_t characters = 0, at = 0;
    for (; at < text.size(); ++at)
      if ((text[at] & 0xC0) != 0x80 && characters++ == kMost) return text.substr(0, at) + "…";
    return text;
  }

  void histogram(std::string_view title, const tune::Lengths& lengths,
                 std::optional<std::size_t> limit) {
    if (lengths.bins.empty()) return;
    constexpr int kWidth = 720, kHeight = 150, kLeft = 10, kTop = 16;
    add("<h3>{} <small>median {}, 95 % up to {}, longest {}</small></h3>\n"
        "<svg width=\"{}\" height=\"{}\" role=\"img\" aria-label=\"histogram\">\n",
        title, grouped(lengths.p50), grouped(lengths.p95), grouped(lengths.most),
        kWidth + 2 * kLeft + 40, kHeight + kTop + 24);
    const auto most =
        static_cast<double>(*std::max_element(lengths.bins.begin(), lengths.bins.end()));
    const double bar = static_cast<double>(kWidth) / static_cast<double>(lengths.bins.size());
    for (std::size_t i = 0; i < lengths.bins.size(); ++i) {
      const double height = kHeight * static_cast<double>(lengths.bins[i]) / most;
      const std::uint64_t from = i * lengths.bin_width;
      add("<rect class=\"bar\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\">"
          "<title>{} to {}: {} rows</title></rect>\n",
          kLeft + bar * static_cast<double>(i), kTop + kHeight - height, std::max(bar - 1, 0.5),
          height, grouped(from), grouped(from + lengths.bin_width - 1), grouped(lengths.bins[i]));
    }
    const double reach = static_cast<double>(lengths.bin_width * lengths.bins.size());
    if (limit && static_cast<double>(*limit) <= reach) {
      const double x = kLeft + kWidth * static_cast<double>(*limit) / reach;
      add("<line class=\"mark\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>"
          "<text x=\"{0:.1f}\" y=\"12\">limit {3}</text>\n",
          x, kTop, kTop + kHeight, grouped(*limit));
    }
    add("<text x=\"{0}\" y=\"{2}\">0</text><text x=\"{1}\" y=\"{2}\" text-anchor=\"end\">{3}"
        "</text>\n</svg>\n",
        kLeft, kLeft + kWidth, kTop + kHeight + 16,
        grouped(lengths.bin_width * lengths.bins.size()));
  }

  void truncated(const PartReport& part) {
    if (part.truncated_rows == 0) return;
    begin_table("Rows that would be cut", part.truncated_rows, {"line", "tokens"});
    const std::size_t shown = std::min(part.truncated.size(), kMostRows);
    for (std::size_t i = 0; i < shown; ++i)
      add("<tr><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>\n",
          part.truncated[i].line, part.truncated[i].tokens);
    end_table(part.truncated_rows, shown);
  }

  void repeats(std::string_view title, const tune::Repeats& repeats, bool across) {
    if (repeats.rows() == 0) return;
    begin_table(title, repeats.rows(), {"line", "is on line", "similarity", "answer"});
    const std::size_t shown = std::min(repeats.listed.size(), kMostRows);
    for (std::size_t i = 0; i < shown; ++i) {
      const tune::Repeat& one = repeats.listed[i];
      add("<tr><td class=\"number\">{}</td><td>{}{}</td><td class=\"number\">{}</td><td>{}</td>"
          "</tr>\n",
          one.line, across ? escaped(report_.parts[one.other_part].name) + " " : "", one.other_line,
          one.verbatim          ? std::string("word for word")
          : one.similarity == 1 ? std::string("the same")
                                : fmt::format("{:.2f}", one.similarity),
          one.other_answer ? "<span class=\"warning\">another</span>" : "the same");
    }
    end_table(repeats.rows(), shown);
  }

  void contradictions(const PartReport& part) {
    if (part.contradictions.empty()) return;
    begin_table("The same text with different labels", part.contradicted_texts,
                {"lines", "labels"});
    const std::size_t shown = std::min(part.contradictions.size(), kMostRows);
    for (std::size_t i = 0; i < shown; ++i) {
      const tune::Contradiction& one = part.contradictions[i];
      add("<tr><td>{}</td><td>", fmt::join(one.lines, ", "));
      for (std::size_t j = 0; j < one.labels.size(); ++j)
        add("{}{}", j == 0 ? "" : " or ", foreign(one.labels[j]));
      text_ += "</td></tr>\n";
    }
    end_table(part.contradicted_texts, shown);
  }

  void suspected(const PartReport& part) {
    if (part.suspected.empty()) return;
    begin_table("Labels that are perhaps wrong", *part.suspected_rows,
                {"line", "label", "perhaps", "how sure"});
    const std::size_t shown = std::min(part.suspected.size(), kMostRows);
    for (std::size_t i = 0; i < shown; ++i) {
      const tune::Suspicion& one = part.suspected[i];
      add("<tr><td class=\"number\">{}</td><td>{}</td><td>{}</td><td class=\"number\">{:.2f}</td>"
          "</tr>\n",
          one.line, foreign(one.given), foreign(one.suggested), one.margin);
    }
    end_table(*part.suspected_rows, shown);
  }

  void personal_data(const PartReport& part) {
    if (part.personal_data.empty()) return;
    begin_table("Personal data", part.personal_data.size(), {"kind", "rows", "first lines"});
    for (const auto& [kind, found] : part.personal_data) {
      constexpr std::size_t kLines = 20;
      std::vector<std::uint64_t> lines(
          found.lines.begin(),
          found.lines.begin() + static_cast<std::ptrdiff_t>(std::min(kLines, found.lines.size())));
      add("<tr><td>{}</td><td class=\"number\">{}</td><td>{}{}</td></tr>\n", escaped(words(kind)),
          grouped(found.rows), fmt::join(lines, ", "), found.rows > lines.size() ? ", ..." : "");
    }
    text_ += "</table></div>\n";
  }

  const DataReport& report_;
  std::string text_;
};

}  // namespace

std::string data_report_page(const DataReport& report) { return Page(report).make(); }

}  // namespace malina::platform
