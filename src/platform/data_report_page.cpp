// The report of a check as one HTML page. Everything from the data set passes through escaped():
// the page may be opened by somebody who does not trust the data.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "platform/data_sets.h"
#include "platform/html_page.h"

namespace malina::platform {

namespace {

using tune::PartReport;

constexpr std::size_t kMostRows = 200;  // of a table; the JSON has more
constexpr std::size_t kMostBars = 100;

class Page {
 public:
  explicit Page(const DataReport& report) : report_(report) {}

  std::string make() {
    verdict();
    for (const PartReport& part : report_.parts) this->part(part);
    return std::move(page_).finish();
  }

 private:
  template <typename... Arguments>
  void add(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    page_.add(format, std::forward<Arguments>(arguments)...);
  }

  void verdict() {
    page_.add_text("<h1>Data check</h1>\n");
    const bool refused = report_.refused();
    add("<p class=\"verdict {}\">{}</p>\n", refused ? "error" : "good",
        refused                    ? "Refused"
        : report_.findings.empty() ? "Nothing was found wrong"
                                   : "Accepted, with warnings");
    if (report_.findings.empty()) return;
    page_.add_text("<ul>\n");
    for (const tune::Finding& finding : report_.findings)
      add("<li><span class=\"{0}\">{0}</span> <b>{1}</b>: {2}</li>\n",
          severity_name(finding.severity), escaped(finding.part), foreign(finding.what));
    page_.add_text("</ul>\n");
  }

  void part(const PartReport& part) {
    add("<h2>{}</h2>\n<table class=\"facts\">\n", escaped(part.name));
    page_.fact("file", foreign(part.path.string()));
    page_.fact("format", foreign(describe(part.format)));
    page_.fact("rows", part.bad_rows == 0
                           ? grouped(part.rows)
                           : fmt::format("{}, and {} that cannot be used", grouped(part.rows),
                                         grouped(part.bad_rows)));
    page_.fact("bytes", grouped(part.bytes));
    page_.fact("SHA-256", "<code>" + part.digest.hex() + "</code>");
    licence(part);
    for (const std::string& prefix : part.wrappers.prefixes)
      page_.fact("before texts", "<code>" + foreign(prefix) + "</code>");
    for (const std::string& suffix : part.wrappers.suffixes)
      page_.fact("after texts", "<code>" + foreign(suffix) + "</code>");
    page_.add_text("</table>\n");
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
    page_.fact("licence", text.empty() ? "none is named" : text);
  }

  void begin_table(std::string_view title, std::uint64_t all,
                   std::initializer_list<std::string_view> columns) {
    add("<h3>{} <small>{}</small></h3>\n<div class=\"scroll\"><table><tr>", title, grouped(all));
    for (const std::string_view column : columns) add("<th>{}</th>", column);
    page_.add_text("</tr>\n");
  }
  void end_table(std::uint64_t all, std::size_t shown) {
    page_.add_text("</table></div>\n");
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
      add("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><rect class=\"bar\" x=\"{}\" "
          "y=\"{}\" width=\"{:.1f}\" height=\"{}\"><title>{}: {}</title></rect><text x=\"{:.1f}\" "
          "y=\"{}\">{}</text>\n",
          kName - 8, top + 13, escaped(shortened(counts[i].first)), kName, top + 3, width,
          kHeight - 5, escaped(counts[i].first), grouped(counts[i].second), kName + width + 6,
          top + 13, grouped(counts[i].second));
    }
    page_.add_text("</svg></div>\n");
    if (counts.size() > shown)
      add("<small>The {} most frequent are shown.</small>\n", grouped(shown));
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
      add("<rect class=\"bar\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
          "height=\"{:.1f}\"><title>{} to {}: {} rows</title></rect>\n",
          kLeft + bar * static_cast<double>(i), kTop + kHeight - height, std::max(bar - 1, 0.5),
          height, grouped(from), grouped(from + lengths.bin_width - 1), grouped(lengths.bins[i]));
    }
    const double reach = static_cast<double>(lengths.bin_width * lengths.bins.size());
    if (limit && static_cast<double>(*limit) <= reach) {
      const double x = kLeft + kWidth * static_cast<double>(*limit) / reach;
      add("<line class=\"mark\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/><text "
          "x=\"{0:.1f}\" y=\"12\">limit {3}</text>\n",
          x, kTop, kTop + kHeight, grouped(*limit));
    }
    add("<text x=\"{0}\" y=\"{2}\">0</text><text x=\"{1}\" y=\"{2}\" "
        "text-anchor=\"end\">{3}</text>\n</svg>\n",
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
      add("<tr><td class=\"number\">{}</td><td>{}{}</td><td "
          "class=\"number\">{}</td><td>{}</td></tr>\n",
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
      page_.add_text("</td></tr>\n");
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
      add("<tr><td class=\"number\">{}</td><td>{}</td><td>{}</td><td "
          "class=\"number\">{:.2f}</td></tr>\n",
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
    page_.add_text("</table></div>\n");
  }

  const DataReport& report_;
  HtmlPage page_{"Data check"};
};

}  // namespace

std::string data_report_page(const DataReport& report) { return Page(report).make(); }

}  // namespace malina::platform
