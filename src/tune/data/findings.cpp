// What the facts about a data set mean: which of them refuse it and which its owner should know.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "tune/data/check.h"
#include "tune/data/plain_text.h"

namespace malina::tune {

namespace {

constexpr std::uint64_t kFewRows = 5;         // of a label
constexpr std::uint64_t kManyLabelRows = 50;  // rows from which labels must repeat
constexpr double kManyNear = 0.1;             // of a part's rows

// "1 row", "3 rows".
std::string count(std::uint64_t number, std::string_view thing) {
  return fmt::format("{} {}{}", number, thing, number == 1 ? "" : "s");
}
std::string_view verb(std::uint64_t number, std::string_view one, std::string_view many) {
  return number == 1 ? one : many;
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
  return fmt::format("{:.1f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

template <class Names>
std::string few_of(const Names& names) {
  constexpr std::size_t kNamed = 3;
  std::string text;
  std::size_t named = 0;
  for (const std::string& name : names) {
    if (named++ == kNamed) return text + ", ...";
    text += (named == 1 ? "" : ", ") + in_readable_quotes(name);
  }
  return text;
}

class Judge {
 public:
  Judge(const DataReport& report, double most_leaks) : report_(report), most_leaks_(most_leaks) {}

  std::vector<Finding> findings() {
    for (const PartReport& part : report_.parts) {
      rows(part);
      if (part.rows == 0) continue;
      labels(part);
      leaks(part);
      repeats(part);
      lengths(part);
      personal_data(part);
      suspected(part);
    }
    for (std::size_t i = 1; i < report_.parts.size(); ++i) other_part(report_.parts[i]);
    std::stable_sort(findings_.begin(), findings_.end(),
                     [](const Finding& a, const Finding& b) { return a.severity < b.severity; });
    return std::move(findings_);
  }

 private:
  void error(const PartReport& part, std::string kind, std::string what) {
    findings_.push_back({Severity::error, std::move(kind), part.name, std::move(what)});
  }
  void warn(const PartReport& part, std::string kind, std::string what) {
    findings_.push_back({Severity::warning, std::move(kind), part.name, std::move(what)});
  }

  void rows(const PartReport& part) {
    if (part.bad_rows > 0)
      error(part, "bad_rows",
            fmt::format("{} cannot be used; the first, on line {}: {}", count(part.bad_rows, "row"),
                        part.errors.front().place.line, part.errors.front().what));
    if (part.rows == 0) error(part, "no_rows", "no row can be used");
  }

  void labels(const PartReport& part) {
    if (part.answers != Answers::labels) return;
    const bool training = &part == &report_.parts.front();
    if (training && part.labels.size() == 1 && !part.several_labels)
      error(part, "one_label",
            fmt::format("all rows have the label {}: there is nothing to tell apart",
                        in_readable_quotes(part.labels[0].first)));
    if (part.rows >= kManyLabelRows && 2 * part.labels.size() > part.rows)
      warn(part, "many_labels",
           fmt::format("{} in {}: labels hardly repeat, so another column may be meant (--label)",
                       count(part.labels.size(), "different label"), count(part.rows, "row")));
    else if (training)
      rare_labels(part);
    spellings(part);
  }

  void rare_labels(const PartReport& part) {
    std::vector<std::string> rare;
    for (const auto& [label, rows] : part.labels)
      if (rows < kFewRows) rare.push_back(label);
    if (!rare.empty())
      warn(part, "rare_labels",
           fmt::format("{} of {} {} fewer than {} rows: {}", rare.size(),
                       count(part.labels.size(), "label"), verb(rare.size(), "has", "have"),
                       kFewRows, few_of(rare)));
  }

  // "Refund" and "refund " are meant to be one.
  void spellings(const PartReport& part) {
    std::map<std::string, std::vector<std::string>> alike;
    for (const auto& [label, rows] : part.labels) alike[plain_text(label)].push_back(label);
    for (const auto& [plain, labels] : alike)
      if (labels.size() > 1 && !plain.empty())
        warn(part, "labels_alike",
             fmt::format("labels differ in case, spaces or punctuation alone: {}", few_of(labels)));
  }

  void leaks(const PartReport& part) {
    const Repeats& leaks = part.leaks;
    const std::uint64_t exact = leaks.verbatim + leaks.same;
    if (exact > 0) {
      const double share = static_cast<double>(exact) / static_cast<double>(part.rows);
      const std::string what = fmt::format(
          "{} of {} ({}) {} in an earlier part too, apart from wrappers, case and "
          "punctuation ({} word for word): what is measured on them is too good",
          exact, count(part.rows, "row"), percent(exact, part.rows), verb(exact, "stands", "stand"),
          leaks.verbatim);
      share >= most_leaks_ ? error(part, "leak", what) : warn(part, "leak", what);
    }
    if (leaks.near > 0)
      warn(part, "near_leak",
           fmt::format("{} of {} ({}) {} nearly in an earlier part (similarity {} or more)",
                       leaks.near, count(part.rows, "row"), percent(leaks.near, part.rows),
                       verb(leaks.near, "stands", "stand"), report_.near));
    if (leaks.other_answer > 0)
      warn(part, "leak_other_answer",
           fmt::format("{} of the {} that stand in an earlier part, or nearly, {} answered "
                       "differently there",
                       leaks.other_answer, count(leaks.rows(), "row"),
                       verb(leaks.other_answer, "is", "are")));
  }

  void repeats(const PartReport& part) {
    const Repeats& repeats = part.duplicates;
    const std::uint64_t exact = repeats.verbatim + repeats.same;
    if (exact > 0)
      warn(part, "duplicates",
           fmt::format("{} of {} ({}) {} an earlier one ({} word for word)", exact,
                       count(part.rows, "row"), percent(exact, part.rows),
                       verb(exact, "repeats", "repeat"), repeats.verbatim));
    if (static_cast<double>(repeats.near) >= kManyNear * static_cast<double>(part.rows))
      warn(part, "near_duplicates",
           fmt::format("{} of {} ({}) nearly {} an earlier one (similarity {} or more)",
                       repeats.near, count(part.rows, "row"), percent(repeats.near, part.rows),
                       verb(repeats.near, "repeats", "repeat"), report_.near));
    if (!part.contradictions.empty()) {
      const Contradiction& first = part.contradictions.front();
      warn(part, "contradictions",
           fmt::format("{} with different labels, in {}; the first, on lines {}: {}",
                       count(part.contradicted_texts, "text"), count(part.contradicted_rows, "row"),
                       fmt::join(first.lines, ", "), few_of(first.labels)));
    }
  }

  void lengths(const PartReport& part) {
    if (part.truncated_rows == 0) return;
    warn(part, "truncated",
         fmt::format("{} {} more than {} tokens and would be cut; the first, on line {}: {}",
                     count(part.truncated_rows, "row"), verb(part.truncated_rows, "has", "have"),
                     *report_.max_tokens, part.truncated.front().line,
                     count(part.truncated.front().tokens, "token")));
  }

  void personal_data(const PartReport& part) {
    for (const auto& [kind, found] : part.personal_data)
      warn(part, "personal_data",
           fmt::format("{}{} in {}, first on line {}",
                       kind == PersonalData::phone ? "possible " : "", words(kind),
                       count(found.rows, "row"), found.lines.front()));
  }

  void suspected(const PartReport& part) {
    if (!part.not_suspected_because.empty())
      warn(part, "wrong_labels_not_looked_for",
           "wrong labels were not looked for: " + part.not_suspected_because);
    if (part.suspected_rows.value_or(0) == 0) return;
    const Suspicion& first = part.suspected.front();
    warn(part, "wrong_labels",
         fmt::format("{} of {} ({}) {} perhaps labelled wrongly; the surest, on line {}: "
                     "labelled {}, perhaps {}",
                     *part.suspected_rows, count(part.rows, "row"),
                     percent(*part.suspected_rows, part.rows),
                     verb(*part.suspected_rows, "is", "are"), first.line,
                     in_readable_quotes(first.given), in_readable_quotes(first.suggested)));
  }

  void other_part(const PartReport& part) {
    const PartReport& training = report_.parts.front();
    if (training.rows == 0 || part.rows == 0) return;
    if (part.answers != training.answers) {
      warn(part, "other_answers",
           fmt::format("its answers are of another kind than those of {}", training.name));
      return;
    }
    if (part.answers != Answers::labels) return;
    std::set<std::string_view> known;
    for (const auto& [label, rows] : training.labels) known.insert(label);
    std::vector<std::string> unknown;
    for (const auto& [label, rows] : part.labels)
      if (!known.contains(label)) unknown.push_back(label);
    if (!unknown.empty())
      warn(part, "unknown_labels",
           fmt::format("{} {} not in {}: {}", count(unknown.size(), "label"),
                       verb(unknown.size(), "is", "are"), training.name, few_of(unknown)));
  }

  const DataReport& report_;
  const double most_leaks_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> findings_of(const DataReport& report, double most_leaks) {
  return Judge(report, most_leaks).findings();
}

}  // namespace malina::tune
