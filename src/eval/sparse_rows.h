// Rows of mostly zeros, as TF-IDF gives them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace malina::eval {

// The columns that are not zero, ascending, each with its value.
struct SparseRow {
  std::vector<std::uint32_t> columns;
  std::vector<float> values;  // as many as columns
};

// Compressed rows: row i has the entries [begins[i], begins[i + 1]) of columns and values.
struct SparseRows {
  std::size_t width = 0;  // every column is below it
  std::vector<std::size_t> begins = {0};
  std::vector<std::uint32_t> columns;
  std::vector<float> values;

  std::size_t rows() const { return begins.size() - 1; }
  void add(const SparseRow& row) {
    columns.insert(columns.end(), row.columns.begin(), row.columns.end());
    values.insert(values.end(), row.values.begin(), row.values.end());
    begins.push_back(columns.size());
  }
};

}  // namespace malina::eval
