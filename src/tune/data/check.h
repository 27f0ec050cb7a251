// The gate before training: what is wrong with a data set, and what its owner should know of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/thread_pool.h"
#include "tune/data/personal_data.h"
#include "tune/data/wrappers.h"
#include "tune/example_reader.h"

namespace malina::tune {

struct DataPart {
  std::string name;  // "train", "validation", "test"
  std::filesystem::path path;
};

// Tokens of an example as training would see them. Throws base::Error where it cannot be rendered
// (a template refuses the messages): the row is then bad.
using CountTokens = std::function<std::size_t(const Example&)>;

struct CheckRequest {
  std::vector<DataPart> parts;  // the training part first; a later part must not repeat an earlier
  ReadOptions reading = {};
  double near = 0.8;              // similarity of 5-grams from which texts count as nearly the same
  CountTokens count_tokens = {};  // may be empty
  std::optional<std::size_t> max_tokens = {};  // of a row, with count_tokens
  // Where given, labels of the first part that are probably wrong are looked for, which takes as
  // long as training a small model five times, and needs its texts in memory.
  base::ThreadPool* suspect_labels = nullptr;
  double most_leaks = 0.01;  // share of a part's rows that may stand in an earlier part, word for
                             // word but for wrappers, case and punctuation
};

// Of the report's lists: so many are named, all are counted.
inline constexpr std::size_t kMostListed = 1000;

// A row beside an earlier one that says the same or nearly.
struct Repeat {
  std::uint64_t line = 0;  // in the part that the list belongs to
  std::size_t other_part = 0;
  std::uint64_t other_line = 0;
  double similarity = 1;  // 1: the same but for wrappers, case and punctuation
  bool verbatim = false;  // the same bytes
  bool other_answer = false;
  bool operator==(const Repeat&) const = default;
};

struct Repeats {
  std::uint64_t verbatim = 0, same = 0, near = 0;  // rows; each row is counted once
  std::uint64_t other_answer = 0;                  // of those, with another label or answer
  std::vector<Repeat> listed;                      // the first ones
  std::uint64_t rows() const { return verbatim + same + near; }
};

struct Contradiction {
  std::vector<std::uint64_t> lines;  // of the same text, up to ten
  std::vector<std::string> labels;   // distinct
};

// A row whose label a model trained on the other rows is confident is another.
struct Suspicion {
  std::uint64_t line = 0;
  std::string given, suggested;
  double margin = 0;  // probability of the suggested label less that of the given one
};

// Of what was counted in every row: tokens or characters.
struct Lengths {
  std::uint64_t p50 = 0, p95 = 0, most = 0, sum = 0;
  std::uint64_t bin_width = 1;      // of the histogram
  std::vector<std::uint64_t> bins;  // rows by length / bin_width
};

struct PersonalDataCount {
  std::uint64_t rows = 0, occurrences = 0;
  std::vector<std::uint64_t> lines;  // the first ones; what was found is not repeated
};

struct LongRow {
  std::uint64_t line = 0;
  std::size_t tokens = 0;
};

// What an answer is, in a part.
enum class Answers {
  labels,  // of few kinds: classes can be counted
  spans,   // slots alone
  free,    // texts of any kind
};

struct PartReport {
  std::string name;
  std::filesystem::path path;
  DatasetFormat format;
  std::uint64_t bytes = 0;
  base::Digest digest;
  std::uint64_t rows = 0, bad_rows = 0;
  std::vector<DatasetError> errors;  // of bad rows, the first ones

  Answers answers = Answers::free;
  bool several_labels = false;                                    // a row may have several
  std::vector<std::pair<std::string, std::uint64_t>> labels;      // rows of each, most first
  std::vector<std::pair<std::string, std::uint64_t>> slot_types;  // spans of each, most first

  Wrappers wrappers;
  Repeats duplicates;                                           // within the part
  Repeats leaks;                                                // of rows of earlier parts
  std::uint64_t contradicted_texts = 0, contradicted_rows = 0;  // all of them
  std::vector<Contradiction> contradictions;  // the same text with different labels

  // Where they were looked for; surest first, the first ones.
  std::optional<std::uint64_t> suspected_rows;
  std::vector<Suspicion> suspected;
  std::string not_suspected_because;  // why they were not, although asked for

  Lengths characters;
  std::optional<Lengths> tokens;
  std::uint64_t truncated_rows = 0;
  std::vector<LongRow> truncated;  // every one of them
  std::map<PersonalData, PersonalDataCount> personal_data;
  std::vector<std::pair<std::string, std::uint64_t>> licences;  // that rows name, most first
  std::filesystem::path licence_file;                           // beside the data; may be empty
};

enum class Severity { error, warning };

// One thing to know, for people and, by `kind`, for programs ("leak", "bad_rows", ...).
struct Finding {
  Severity severity = Severity::warning;
  std::string kind;
  std::string part;
  std::string what;  // one sentence without a full stop
};

struct DataReport {
  std::vector<PartReport> parts;
  std::optional<std::size_t> max_tokens;
  double near = 0;
  std::vector<Finding> findings;  // errors first
  bool refused() const;           // there is an error
};

// `progress`: a step's name, and how far it is; what it throws ends the work.
using CheckProgress =
    std::function<void(std::string_view step, std::uint64_t done, std::uint64_t total)>;

// Reads each file three times and never holds its rows: some 400 bytes a row are kept. Throws what
// ExampleReader does for files that cannot be read at all.
DataReport check_data(const CheckRequest& request, const CheckProgress& progress = {});

// What follows from the facts, as a rule anybody can read (findings.cpp).
std::vector<Finding> findings_of(const DataReport& report, double most_leaks);

}  // namespace malina::tune
