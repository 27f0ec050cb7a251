// What one reading of a part's file shows: all that needs no other row.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "tune/data/check.h"

namespace malina::tune {

// What is kept of a row.
struct RowFacts {
  RowPlace place;
  std::uint64_t question = 0, answer = 0;  // hashes of their bytes
};

// Takes the rows of one part in their order. One owner, one thread.
class PartFacts {
 public:
  PartFacts(PartReport& report, const CheckRequest& request) : report_(report), request_(request) {}

  void take(const Row& row);
  // Fills in what only the whole shows: classes, lengths, wrappers.
  void finish();
  std::vector<RowFacts>& rows() { return rows_; }

 private:
  using Counts = std::unordered_map<std::string, std::uint64_t>;

  void bad(DatasetError error);
  void take_answers(const Example& example, const std::string& answer);
  void take_personal_data(const Example& example);

  PartReport& report_;
  const CheckRequest& request_;
  std::vector<RowFacts> rows_;
  WrapperFinder wrappers_;
  Counts labels_, slot_types_, licences_;
  bool free_answers_ = false;  // too long, or too many different ones, to be labels
  bool labelled_ = false;
  std::vector<std::uint32_t> characters_, tokens_;
};

}  // namespace malina::tune
