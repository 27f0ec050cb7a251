#include "tune/data/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/file.h"
#include "base/random.h"
#include "base/shuffle.h"
#include "tune/data/example_text.h"
#include "tune/data/part_facts.h"
#include "tune/data/plain_text.h"
#include "tune/data/similar_texts.h"

namespace malina::tune {

namespace {

using base::Error;
using base::Fault;
using Id = SimilarTexts::Id;

// Disjoint sets with path halving (Tarjan and van Leeuwen 1984); the smallest member leads.
class Sets {
 public:
  explicit Sets(std::size_t count) : leader_(count) {
    std::iota(leader_.begin(), leader_.end(), Id{0});
  }
  Id find(Id one) {
    while (leader_[one] != one) one = leader_[one] = leader_[leader_[one]];
    return one;
  }
  void join(Id a, Id b) {
    a = find(a);
    b = find(b);
    leader_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<Id> leader_;
};

// A part's file while it is written: in the format of the input.
class PartWriter {
 public:
  PartWriter(const SplitRequest& request, const ExampleReader& reader, std::size_t part)
      : format_(reader.format()),
        file_(request.parts[part].output, request.replace ? base::AtomicFile::Existing::replace
                                                          : base::AtomicFile::Existing::refuse) {
    if (format_.byte_order_mark) put("\xef\xbb\xbf");
    std::string header(reader.header());
    line_end_ = header.ends_with("\r\n") ? "\r\n" : "\n";
    if (!header.empty() && !header.ends_with('\n')) header += line_end_;
    put(format_.syntax == Syntax::json_array ? "[" : header);
  }

  void row(std::string_view text) {
    if (format_.syntax == Syntax::json_array) put(rows_ == 0 ? "\n" : ",\n");
    put(text);
    if (format_.syntax != Syntax::json_array) put(line_end_);
    ++rows_;
  }

  void commit(SplitReport::Part& report) {
    if (format_.syntax == Syntax::json_array) put("\n]\n");
    flush();
    file_.commit();
    report.rows = rows_;
    report.bytes = bytes_;
    report.digest = digest_.finish();
  }

 private:
  void put(std::string_view text) {
    constexpr std::size_t kBuffered = std::size_t{1} << 16;
    buffer_ += text;
    if (buffer_.size() >= kBuffered) flush();
  }
  void flush() {
    file_.write(buffer_);
    digest_.update(buffer_);
    bytes_ += buffer_.size();
    buffer_.clear();
  }

  const DatasetFormat format_;
  base::AtomicFile file_;
  std::string line_end_, buffer_;
  base::Sha256 digest_;
  std::uint64_t rows_ = 0, bytes_ = 0;
};

// Rows that stay together.
struct Group {
  std::uint64_t label = 0;  // of its first row, as a hash
  std::vector<Id> rows;
};

class Split {
 public:
  Split(const SplitRequest& request, const CheckProgress& progress)
      : request_(request), progress_(progress), reader_(request.input, request.reading) {}

  SplitReport run() {
    check_outputs();
    read();
    part_of_.assign(rows_.size(), 0);
    const auto wanted = wanted_rows();
    share_out(groups(), wanted);
    write();
    return std::move(report_);
  }

 private:
  void tell(std::string_view step, std::uint64_t done, std::uint64_t total) const {
    if (progress_) progress_(step, done, total);
  }

  void check_outputs() const {
    for (std::size_t i = 0; i < request_.parts.size(); ++i) {
      const auto& output = request_.parts[i].output;
      std::error_code ignored;
      if (std::filesystem::equivalent(output, request_.input, ignored))
        throw Error(Fault::invalid_argument, output.string() + " is the data set itself");
      for (std::size_t j = 0; j < i; ++j)
        if (output.lexically_normal() == request_.parts[j].output.lexically_normal())
          throw Error(Fault::invalid_argument, output.string() + " is the output of two parts");
      if (!request_.replace && std::filesystem::exists(output, ignored))
        throw Error(Fault::already_exists, output.string() + " exists already");
    }
  }

  void read() {
    CheckRequest facts_only;
    PartFacts facts(part_, facts_only);
    part_.format = report_.format = reader_.format();
    const std::uint64_t size = reader_.file().size();
    std::uint64_t count = 0;
    while (const auto row = reader_.next()) {
      facts.take(*row);
      if (++count % 256 == 0) tell("reading", reader_.bytes_read(), size);
    }
    facts.finish();
    rows_ = std::move(facts.rows());
    report_.rows = part_.rows;
    report_.skipped_rows = part_.bad_rows;
    if (part_.bad_rows > 0 && !request_.skip_bad_rows)
      throw Error(Fault::corrupt_file,
                  fmt::format("{}: {} row{} cannot be used; the first, on line {}: {} (repair "
                              "them, or leave them out with --skip-bad-rows)",
                              reader_.file().name(), part_.bad_rows, part_.bad_rows == 1 ? "" : "s",
                              part_.errors.front().place.line, part_.errors.front().what));
  }

  std::vector<std::uint64_t> wanted_rows() const {
    std::vector<std::uint64_t> wanted(request_.parts.size(), 0);
    std::uint64_t taken = 0;
    for (std::size_t i = 1; i < wanted.size(); ++i) {
      const PartSize& size = request_.parts[i].size;
      wanted[i] =
          size.rows
              ? *size.rows
              : static_cast<std::uint64_t>(size.share * static_cast<double>(rows_.size()) + 0.5);
      if (wanted[i] == 0)
        throw Error(Fault::invalid_argument,
                    fmt::format("the part {} would have no row", request_.parts[i].name));
      if (wanted[i] >= rows_.size() - taken)
        throw Error(Fault::invalid_argument,
                    fmt::format("{} has {} rows that can be used, which leaves none for {}",
                                reader_.file().name(), rows_.size(), request_.parts[0].name));
      taken += wanted[i];
    }
    return wanted;
  }

  std::string core(Id id) const {
    const Row row = reader_.at(rows_[id].place);
    const auto* example = std::get_if<Example>(&row);
    if (example == nullptr)
      throw Error(Fault::corrupt_file, reader_.file().name() + " was changed while being read");
    const std::string question = question_of(*example);
    std::string plain = plain_text(part_.wrappers.strip(question));
    return plain.empty() ? question : plain;
  }

  std::vector<Group> groups() {
    SimilarTexts similar;
    const std::uint64_t total = rows_.size();
    for (std::size_t id = 0; id < rows_.size(); ++id) {
      similar.add(core(static_cast<Id>(id)), 0);
      if (id % 256 == 0) tell("comparing", id / 2, total);
    }
    Sets sets(rows_.size());
    const auto neighbours = similar.find(
        request_.near, [this](Id id) { return core(id); },
        [&](std::size_t done) { tell("comparing", (total + done) / 2, total); },
        [&](Id a, Id b) { sets.join(a, b); });
    for (std::size_t id = 0; id < rows_.size(); ++id)
      sets.join(static_cast<Id>(id), neighbours[id].same);
    std::map<Id, Group> by_leader;  // in the order of the file
    for (std::size_t id = 0; id < rows_.size(); ++id) {
      Group& group = by_leader[sets.find(static_cast<Id>(id))];
      if (group.rows.empty()) group.label = part_.answers == Answers::labels ? rows_[id].answer : 0;
      group.rows.push_back(static_cast<Id>(id));
    }
    std::vector<Group> groups;
    for (auto& [leader, group] : by_leader) {
      report_.groups += group.rows.size() > 1 ? 1 : 0;
      groups.push_back(std::move(group));
    }
    return groups;
  }

  // Label by label, the rarest first: each part is given its share of the label's rows, and what
  // whole rows and whole groups leave over or short is carried to the next label.
  void share_out(std::vector<Group> groups, const std::vector<std::uint64_t>& wanted) {
    std::map<std::uint64_t, std::vector<Group*>> by_label;
    std::map<std::uint64_t, std::uint64_t> sizes;
    for (Group& group : groups) {
      by_label[group.label].push_back(&group);
      sizes[group.label] += group.rows.size();
    }
    std::vector<std::uint64_t> order;
    for (const auto& [label, size] : sizes) order.push_back(label);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::uint64_t a, std::uint64_t b) { return sizes[a] < sizes[b]; });
    std::vector<double> owed(wanted.size(), 0);
    base::Random random(request_.seed);
    for (const std::uint64_t label : order) {
      auto& members = by_label[label];
      base::shuffle(members, random);
      for (std::size_t part = 1; part < wanted.size(); ++part)
        owed[part] += static_cast<double>(wanted[part]) * static_cast<double>(sizes[label]) /
                      static_cast<double>(rows_.size());
      for (const Group* group : members) place(*group, owed);
    }
  }

  void place(const Group& group, std::vector<double>& owed) {
    constexpr double kRounding = 1e-6;
    const auto size = static_cast<double>(group.rows.size());
    const auto part = std::max_element(owed.begin() + 1, owed.end());
    if (*part + kRounding < size) return;  // stays in the first part
    *part -= size;
    for (const Id id : group.rows) part_of_[id] = static_cast<std::uint8_t>(part - owed.begin());
  }

  void write() {
    std::vector<std::unique_ptr<PartWriter>> writers;
    std::vector<std::map<std::string, std::uint64_t>> labels(request_.parts.size());
    for (std::size_t part = 0; part < request_.parts.size(); ++part)
      writers.push_back(std::make_unique<PartWriter>(request_, reader_, part));
    for (std::size_t id = 0; id < rows_.size(); ++id) {
      const std::size_t part = part_of_[id];
      writers[part]->row(reader_.source(rows_[id].place));
      if (part_.answers == Answers::labels) count_labels(rows_[id].place, labels[part]);
      if (id % 256 == 0) tell("writing", id, rows_.size());
    }
    for (std::size_t part = 0; part < writers.size(); ++part) {
      SplitReport::Part written;
      written.name = request_.parts[part].name;
      written.output = request_.parts[part].output;
      written.labels.assign(labels[part].begin(), labels[part].end());
      std::stable_sort(written.labels.begin(), written.labels.end(),
                       [](const auto& a, const auto& b) { return a.second > b.second; });
      writers[part]->commit(written);
      report_.parts.push_back(std::move(written));
    }
  }

  void count_labels(const RowPlace& place, std::map<std::string, std::uint64_t>& labels) const {
    const Row row = reader_.at(place);
    const auto* example = std::get_if<Example>(&row);
    if (example == nullptr) return;
    if (const auto* one = example->classification())
      for (const std::string& label : one->labels) ++labels[label];
    else
      ++labels[answer_of(*example)];
  }

  const SplitRequest& request_;
  const CheckProgress& progress_;
  ExampleReader reader_;
  PartReport part_;
  SplitReport report_;
  std::vector<RowFacts> rows_;
  std::vector<std::uint8_t> part_of_;
};

}  // namespace

SplitReport split_data(const SplitRequest& request, const CheckProgress& progress) {
  if (request.parts.size() < 2)
    throw Error(Fault::invalid_argument, "a data set is cut into two parts or more");
  return Split(request, progress).run();
}

}  // namespace malina::tune
