#include "tune/data/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <unordered_map>

#include "base/error.h"
#include "eval/linear_baseline.h"
#include "tune/data/example_text.h"
#include "tune/data/part_facts.h"
#include "tune/data/plain_text.h"
#include "tune/data/similar_texts.h"
#include "tune/data/wrong_labels.h"

namespace malina::tune {

namespace {

using Id = SimilarTexts::Id;

// Texts that a baseline may hold: features take ten times as much again.
constexpr std::uint64_t kMostSuspectBytes = std::uint64_t{32} << 20;
constexpr std::size_t kFewestSuspectRows = 5;  // one a fold

// Where the rows of all parts are numbered through.
struct NumberedRow {
  std::size_t part;
  const RowFacts* facts;
};

std::filesystem::path licence_beside(const std::filesystem::path& data) {
  for (const char* name : {"LICENSE", "LICENCE", "LICENSE.txt", "LICENSE.md", "COPYING"}) {
    const auto path = data.parent_path() / name;
    std::error_code ignored;
    if (std::filesystem::is_regular_file(path, ignored)) return path;
  }
  return {};
}

class Check {
 public:
  Check(const CheckRequest& request, const CheckProgress& progress)
      : request_(request), progress_(progress) {}

  DataReport run() {
    report_.near = request_.near;
    report_.max_tokens = request_.count_tokens ? request_.max_tokens : std::nullopt;
    report_.parts.resize(request_.parts.size());
    open();
    for (std::size_t part = 0; part < readers_.size(); ++part) read(part);
    compare();
    if (request_.suspect_labels != nullptr) suspect();
    report_.findings = findings_of(report_, request_.most_leaks);
    return std::move(report_);
  }

 private:
  void tell(std::string_view step, std::uint64_t done, std::uint64_t total) const {
    if (progress_) progress_(step, done, total);
  }

  void open() {
    for (std::size_t i = 0; i < request_.parts.size(); ++i) {
      const DataPart& given = request_.parts[i];
      readers_.emplace_back(given.path, request_.reading);
      PartReport& part = report_.parts[i];
      part.name = given.name;
      part.path = given.path;
      part.format = readers_.back().format();
      part.bytes = readers_.back().file().size();
      part.licence_file = licence_beside(given.path);
      all_bytes_ += part.bytes;
    }
  }

  void read(std::size_t index) {
    PartReport& part = report_.parts[index];
    ExampleReader& reader = readers_[index];
    part.digest = base::digest_file(reader.file());
    PartFacts facts(part, request_);
    while (const auto row = reader.next()) {
      facts.take(*row);
      if (++rows_read_ % 256 == 0) tell("reading", bytes_before_ + reader.bytes_read(), all_bytes_);
    }
    bytes_before_ += part.bytes;
    facts.finish();
    rows_.push_back(std::move(facts.rows()));
    rows_.back().shrink_to_fit();
  }

  // The text without its part's wrappers, as it is compared.
  std::string core(std::size_t part, const Example& example) const {
    const std::string question = question_of(example);
    std::string plain = plain_text(report_.parts[part].wrappers.strip(question));
    return plain.empty() ? question : plain;  // signs alone: "???"
  }

  std::string core(const NumberedRow& row) const {
    const Row again = readers_[row.part].at(row.facts->place);
    if (const auto* example = std::get_if<Example>(&again)) return core(row.part, *example);
    throw base::Error(base::Fault::corrupt_file,
                      readers_[row.part].file().name() + " was changed while being read");
  }

  void compare() {
    for (std::size_t part = 0; part < rows_.size(); ++part)
      for (const RowFacts& facts : rows_[part]) numbered_.push_back({part, &facts});
    SimilarTexts similar;
    const auto total = static_cast<std::uint64_t>(numbered_.size());
    for (std::size_t i = 0; i < numbered_.size(); ++i) {
      similar.add(core(numbered_[i]), static_cast<std::uint32_t>(numbered_[i].part));
      if (i % 256 == 0) tell("comparing", i / 2, total);
    }
    const auto neighbours = similar.find(
        request_.near, [this](Id id) { return core(numbered_[id]); },
        [&](std::size_t done) { tell("comparing", (total + done) / 2, total); });
    count_repeats(neighbours);
    count_contradictions(neighbours);
  }

  Repeat repeat_of(const NumberedRow& row, const NumberedRow& other, double similarity) const {
    return {.line = row.facts->place.line,
            .other_part = other.part,
            .other_line = other.facts->place.line,
            .similarity = similarity,
            .verbatim = row.facts->question == other.facts->question,
            .other_answer = row.facts->answer != other.facts->answer};
  }

  static void add(Repeats& repeats, const Repeat& repeat) {
    if (repeat.verbatim)
      ++repeats.verbatim;
    else if (repeat.similarity == 1)
      ++repeats.same;
    else
      ++repeats.near;
    if (repeat.other_answer) ++repeats.other_answer;
    if (repeats.listed.size() < kMostListed) repeats.listed.push_back(repeat);
  }

  void count_repeats(const std::vector<SimilarTexts::Neighbours>& neighbours) {
    for (std::size_t i = 0; i < numbered_.size(); ++i) {
      const NumberedRow& row = numbered_[i];
      const Id same = neighbours[i].same;
      const auto& first = neighbours[same];
      PartReport& part = report_.parts[row.part];
      const bool leaks_exactly = numbered_[same].part != row.part;
      if (leaks_exactly)
        add(part.leaks, repeat_of(row, numbered_[same], 1));
      else if (first.in_earlier_part)
        add(part.leaks, repeat_of(row, numbered_[first.in_earlier_part->text],
                                  first.in_earlier_part->similarity));
      // Of texts that an earlier part has too, the first of this part is not known by `same`.
      const auto [place, is_first] = first_in_part_[row.part].emplace(same, static_cast<Id>(i));
      if (!is_first)
        add(part.duplicates, repeat_of(row, numbered_[place->second], 1));
      else if (!leaks_exactly && first.in_part)
        add(part.duplicates,
            repeat_of(row, numbered_[first.in_part->text], first.in_part->similarity));
    }
  }

  std::vector<std::string> labels_of(const NumberedRow& row) const {
    const Row again = readers_[row.part].at(row.facts->place);
    const auto* example = std::get_if<Example>(&again);
    if (example == nullptr) return {};
    return {answer_of(*example)};
  }

  // Within a part, since across parts they are leaks.
  void count_contradictions(const std::vector<SimilarTexts::Neighbours>& neighbours) {
    for (std::size_t part = 0; part < report_.parts.size(); ++part) {
      if (report_.parts[part].answers != Answers::labels) continue;
      std::unordered_map<Id, std::vector<Id>> groups;
      for (std::size_t i = 0; i < numbered_.size(); ++i)
        if (numbered_[i].part == part) groups[neighbours[i].same].push_back(static_cast<Id>(i));
      std::vector<const std::vector<Id>*> disputed;
      for (const auto& [same, ids] : groups) {
        const bool agree = std::all_of(ids.begin(), ids.end(), [&](Id id) {
          return numbered_[id].facts->answer == numbered_[ids[0]].facts->answer;
        });
        if (!agree) disputed.push_back(&ids);
      }
      std::sort(disputed.begin(), disputed.end(),
                [](const auto* a, const auto* b) { return a->front() < b->front(); });
      for (const auto* ids : disputed) add_contradiction(report_.parts[part], *ids);
    }
  }

  void add_contradiction(PartReport& part, const std::vector<Id>& ids) const {
    constexpr std::size_t kMostLines = 10;
    ++part.contradicted_texts;
    part.contradicted_rows += ids.size();
    if (part.contradictions.size() >= kMostListed) return;
    Contradiction one;
    for (const Id id : ids) {
      const auto labels = labels_of(numbered_[id]);
      bool named = false;
      for (const std::string& label : labels) {
        if (std::find(one.labels.begin(), one.labels.end(), label) != one.labels.end()) continue;
        one.labels.push_back(label);
        named = true;
      }
      // Rows that bring another label first.
      if (named || one.lines.size() < kMostLines)
        one.lines.push_back(numbered_[id].facts->place.line);
    }
    part.contradictions.push_back(std::move(one));
  }

  // Of the first part: the others are too small to learn from, or must not be looked at.
  void suspect() {
    PartReport& part = report_.parts.front();
    if (part.answers != Answers::labels || part.several_labels || part.labels.size() < 2) {
      part.not_suspected_because = "rows do not have one label each, of two or more";
      return;
    }
    if (part.rows < kFewestSuspectRows) {
      part.not_suspected_because = fmt::format("it has fewer than {} rows", kFewestSuspectRows);
      return;
    }
    if (2 * part.labels.size() > part.rows) {
      part.not_suspected_because = "its labels hardly repeat";
      return;
    }
    std::vector<std::string> texts, labels;
    std::uint64_t bytes = 0;
    for (const RowFacts& facts : rows_.front()) {
      const Row row = readers_.front().at(facts.place);
      const auto* example = std::get_if<Example>(&row);
      if (example == nullptr) continue;  // counted when it was compared
      const std::string question = question_of(*example);
      texts.emplace_back(part.wrappers.strip(question));
      labels.push_back(answer_of(*example));
      if (labels.back().size() > eval::LinearBaseline::kLongestLabel) {
        part.not_suspected_because =
            fmt::format("a label has more than {} bytes", eval::LinearBaseline::kLongestLabel);
        return;
      }
      bytes += texts.back().size();
      if (bytes > kMostSuspectBytes) {
        part.not_suspected_because =
            fmt::format("its texts have more than {} MB", kMostSuspectBytes >> 20);
        return;
      }
    }
    const auto found = suspected(texts, labels);
    part.suspected_rows = found.size();
    for (const WrongLabel& one : found) {
      if (part.suspected.size() == kMostListed) break;
      part.suspected.push_back(
          {rows_.front()[one.row].place.line, one.given, one.suggested, one.margin});
    }
  }

  // What the progress throws ends the fits as well, in which nothing may be thrown.
  std::vector<WrongLabel> suspected(const std::vector<std::string>& texts,
                                    const std::vector<std::string>& labels) const {
    std::exception_ptr thrown;
    const auto stop = [&] {
      try {
        if (!thrown) tell("training on the other rows", 0, 0);
      } catch (...) {
        thrown = std::current_exception();
      }
      return thrown != nullptr;
    };
    try {
      return suspected_wrong_labels(texts, labels, *request_.suspect_labels, stop);
    } catch (const base::Error&) {
      if (thrown) std::rethrow_exception(thrown);
      throw;
    }
  }

  const CheckRequest& request_;
  const CheckProgress& progress_;
  DataReport report_;
  std::vector<ExampleReader> readers_;
  std::vector<std::vector<RowFacts>> rows_;  // by part
  std::vector<NumberedRow> numbered_;
  std::map<std::size_t, std::unordered_map<Id, Id>> first_in_part_;
  std::uint64_t all_bytes_ = 0, bytes_before_ = 0, rows_read_ = 0;
};

}  // namespace

DataReport check_data(const CheckRequest& request, const CheckProgress& progress) {
  return Check(request, progress).run();
}

bool DataReport::refused() const {
  return std::any_of(findings.begin(), findings.end(),
                     [](const Finding& finding) { return finding.severity == Severity::error; });
}

}  // namespace malina::tune
