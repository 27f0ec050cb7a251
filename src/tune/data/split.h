// Cuts a data set into parts that do not know each other.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "tune/data/check.h"
#include "tune/example_reader.h"

namespace malina::tune {

// How large a part is to be: a number of rows, or a share of all.
struct PartSize {
  std::optional<std::uint64_t> rows;
  double share = 0;  // where `rows` is not set
};

struct SplitRequest {
  std::filesystem::path input;
  ReadOptions reading = {};
  struct Part {
    std::string name;
    std::filesystem::path output;
    PartSize size;  // of the first part nothing: it takes what is left
  };
  std::vector<Part> parts;  // two or more
  std::uint64_t seed = 0;
  double near = 0.8;           // as of CheckRequest: such rows stay in one part
  bool skip_bad_rows = false;  // otherwise one bad row refuses the file
  bool replace = false;        // files that exist
};

struct SplitReport {
  struct Part {
    std::string name;
    std::filesystem::path output;
    std::uint64_t rows = 0, bytes = 0;
    base::Digest digest;
    std::vector<std::pair<std::string, std::uint64_t>> labels;  // as of PartReport
  };
  DatasetFormat format;
  std::vector<Part> parts;
  std::uint64_t rows = 0, skipped_rows = 0;
  std::uint64_t groups = 0;  // of rows that say nearly the same and so stay together
};

// Rows of each label are shared out alike (answers that are no labels count as one label), and rows
// that are the same or nearly so, wrappers aside, stay in one part, so a part may miss its size by
// a group. The same input, seed and sizes give the same bytes on every machine. Rows keep their
// bytes and their order; the format is the input's. Outputs appear complete or not at all. Throws
// base::Error: invalid_argument (sizes that leave nothing for the first part, an output that is the
// input), already_exists, corrupt_file (bad rows), io, and what ExampleReader throws.
SplitReport split_data(const SplitRequest& request, const CheckProgress& progress = {});

}  // namespace malina::tune
