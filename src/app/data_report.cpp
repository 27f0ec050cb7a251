#include "app/data_report.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "base/utf8.h"

namespace malina::app {

namespace {

using tune::PartReport;

constexpr std::size_t kShown = 10;  // of a list; --json and --html have more

std::string more(std::uint64_t all, std::size_t shown) {
  return all > shown ? fmt::format(" and {} more", grouped(all - shown)) : "";
}

// A label on one line, and not wider than the terminal likes.
std::string short_text(const std::string& text, std::size_t most = 40) {
  std::string shown = printable(text);
  if (shown.size() <= most) return shown;
  return std::string(base::whole_characters(shown, most - 3)) + "...";
}

void print_lengths(std::string_view what, const tune::Lengths& lengths, Console& console) {
  console.print("  {:<11} median {}, 95 % up to {}, longest {}\n", what, grouped(lengths.p50),
                grouped(lengths.p95), grouped(lengths.most));
}

void print_counts(std::string_view what, std::string_view unit,
                  const std::vector<std::pair<std::string, std::uint64_t>>& counts,
                  Console& console) {
  constexpr std::size_t kAll = 8, kEnds = 2;  // few are shown all, of many the first and last
  std::string text;
  const auto add = [&](std::size_t i) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", short_text(counts[i].first),
                        grouped(counts[i].second));
  };
  const bool all = counts.size() <= kAll;
  for (std::size_t i = 0; i < (all ? counts.size() : kEnds); ++i) add(i);
  if (!all) {
    text += ", ...";
    for (std::size_t i = counts.size() - kEnds; i < counts.size(); ++i) add(i);
  }
  console.print("  {:<11} {} ({} of each: {})\n", what, grouped(counts.size()), unit, text);
}

std::string repeats_text(const tune::Repeats& repeats) {
  return fmt::format("{} word for word, {} but for wrappers, case and punctuation, {} nearly",
                     grouped(repeats.verbatim), grouped(repeats.same), grouped(repeats.near));
}

void print_repeats(std::string_view what, const tune::Repeats& repeats,
                   const platform::DataReport& report, bool across, Console& console) {
  if (repeats.rows() == 0) return;
  console.print("  {:<11} {} rows: {}{}\n", what, grouped(repeats.rows()), repeats_text(repeats),
                repeats.other_answer > 0
                    ? fmt::format("; {} with another answer", grouped(repeats.other_answer))
                    : "");
  std::vector<std::string> pairs;
  for (const tune::Repeat& one : repeats.listed) {
    if (pairs.size() == kShown) break;
    pairs.push_back(across ? fmt::format("{} = {} {}", one.line, report.parts[one.other_part].name,
                                         one.other_line)
                           : fmt::format("{} = {}", one.line, one.other_line));
  }
  console.print("  {:<11} lines {}{}\n", "", fmt::join(pairs, ", "),
                more(repeats.rows(), pairs.size()));
}

void print_errors(const PartReport& part, Console& console) {
  if (part.bad_rows == 0) return;
  console.print("  {:<11} {}\n", "bad rows", grouped(part.bad_rows));
  const std::size_t shown = std::min(part.errors.size(), kShown);
  for (std::size_t i = 0; i < shown; ++i)
    console.print("  {:<11} line {}: {}\n", "", part.errors[i].place.line,
                  printable(part.errors[i].what));
  if (part.bad_rows > shown) console.print("  {:<11}{}\n", "", more(part.bad_rows, shown));
}

void print_contradictions(const PartReport& part, Console& console) {
  const std::size_t shown = std::min(part.contradictions.size(), kShown);
  for (std::size_t i = 0; i < shown; ++i) {
    std::vector<std::string> labels;
    for (const std::string& label : part.contradictions[i].labels)
      labels.push_back(short_text(label));
    console.print("  {:<11} lines {}: {}\n", i == 0 ? "two labels" : "",
                  fmt::join(part.contradictions[i].lines, ", "), fmt::join(labels, " or "));
  }
  if (part.contradicted_texts > shown)
    console.print("  {:<11}{}\n", "", more(part.contradicted_texts, shown));
}

void print_suspected(const PartReport& part, Console& console) {
  if (!part.suspected_rows) return;
  console.print("  {:<11} {} rows\n", "doubtful", grouped(*part.suspected_rows));
  const std::size_t shown = std::min(part.suspected.size(), kShown);
  for (std::size_t i = 0; i < shown; ++i) {
    const tune::Suspicion& one = part.suspected[i];
    console.print("  {:<11} line {}: labelled {}, perhaps {}\n", "", one.line,
                  short_text(one.given), short_text(one.suggested));
  }
  if (*part.suspected_rows > shown)
    console.print("  {:<11}{}\n", "", more(*part.suspected_rows, shown));
}

void print_truncated(const PartReport& part, Console& console) {
  if (part.truncated_rows == 0) return;
  std::vector<std::string> rows;
  for (const tune::LongRow& row : part.truncated) {
    if (rows.size() == kShown) break;
    rows.push_back(fmt::format("{} ({})", row.line, row.tokens));
  }
  console.print("  {:<11} lines (tokens) {}{}\n", "cut", fmt::join(rows, ", "),
                more(part.truncated_rows, rows.size()));
}

void print_wrappers(const PartReport& part, Console& console) {
  for (const std::string& prefix : part.wrappers.prefixes)
    console.print("  {:<11} before texts: {}\n", "wrapper", short_text(prefix, 80));
  for (const std::string& suffix : part.wrappers.suffixes)
    console.print("  {:<11} after texts: {}\n", "wrapper", short_text(suffix, 80));
}

void print_licence(const PartReport& part, Console& console) {
  std::vector<std::string> named;
  for (const auto& [licence, rows] : part.licences) {
    if (named.size() == kShown) break;
    named.push_back(fmt::format("{} ({} rows)", short_text(licence), grouped(rows)));
  }
  if (!part.licence_file.empty()) named.push_back(printable(part.licence_file.string()));
  console.print("  {:<11} {}\n", "licence",
                named.empty() ? "none is named" : fmt::format("{}", fmt::join(named, ", ")));
}

void print_part(const PartReport& part, const platform::DataReport& report, Console& console) {
  console.print("\n{}  {}\n", console.styled(Style::bold, part.name),
                printable(part.path.string()));
  console.print("  {:<11} {}\n", "format", printable(describe(part.format)));
  console.print("  {:<11} {}, {}\n", "rows", grouped(part.rows), human_bytes(part.bytes));
  console.print("  {:<11} {}\n", "SHA-256", part.digest.hex());
  print_licence(part, console);
  print_errors(part, console);
  if (part.rows == 0) return;
  if (!part.labels.empty()) print_counts("labels", "rows", part.labels, console);
  if (!part.slot_types.empty()) print_counts("spans", "spans", part.slot_types, console);
  print_lengths("characters", part.characters, console);
  if (part.tokens) print_lengths("tokens", *part.tokens, console);
  print_truncated(part, console);
  print_wrappers(part, console);
  print_repeats("repeats", part.duplicates, report, false, console);
  print_contradictions(part, console);
  print_suspected(part, console);
  print_repeats("leaks", part.leaks, report, true, console);
}

}  // namespace

void print_data_report(const platform::DataReport& report, Console& console) {
  for (const PartReport& part : report.parts) print_part(part, report, console);
  console.write("\n");
  for (const tune::Finding& finding : report.findings) {
    const bool error = finding.severity == tune::Severity::error;
    console.print("{} {}: {}\n",
                  console.styled(error ? Style::red : Style::yellow, error ? "error  " : "warning"),
                  finding.part, printable(finding.what));
  }
  if (report.refused())
    console.print("{}\n", console.styled(Style::bold, "refused"));
  else if (report.findings.empty())
    console.print("{}\n", console.styled(Style::green, "nothing was found wrong"));
  else
    console.print("{}\n", console.styled(Style::green, "accepted, with warnings"));
}

}  // namespace malina::app
