#include "model/tensor_conversion.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <optional>
#include <vector>

#include "base/error.h"

namespace malina::model {

namespace {

using base::Error;
using base::Fault;

// Values that a task converts: some tens of milliseconds of the slowest encoder.
constexpr std::size_t kTaskValues = 128 << 10;
// Tasks of a batch for each thread: its end leaves at most one of them waiting.
constexpr std::size_t kTasksAThread = 8;
// Block encodings keep scales in half precision; what is beyond it is no weight of a model.
constexpr float kGreatestOfBlocks = 65504;

// Rows [first, first + rows) of the tensor, and what becomes of them.
struct Task {
  std::uint64_t first = 0, rows = 0;
  std::vector<std::byte> output;
  ConversionError error;
  std::optional<std::uint64_t> refused;  // index of the first value that cannot be converted
  float value = 0;                       // that value
  std::exception_ptr failure;
};

class Converter {
 public:
  explicit Converter(const TensorConversion& conversion)
      : conversion_(conversion),
        columns_(conversion.tensor.columns()),
        same_(conversion.tensor.encoding == &conversion.encoding) {}

  // Never throws: a failure is noted in the task.
  void work(Task& task) const {
    try {
      convert(task);
    } catch (...) {
      task.failure = std::current_exception();
    }
  }
  void refuse(const Task& task) const;

 private:
  void convert(Task& task) const;
  void convert_row(const std::byte* source, std::uint64_t row, Task& task) const;
  const float* importance_of(std::uint64_t row) const {
    const std::span<const float> importance = conversion_.importance;
    if (importance.empty()) return nullptr;
    const std::uint64_t slices = importance.size() / columns_;
    return importance.data() + row / (conversion_.tensor.rows() / slices) * columns_;
  }
  template <typename IsFine>
  void refuse_first(std::span<const float> values, Task& task, std::uint64_t row,
                    IsFine is_fine) const {
    if (task.refused) return;
    std::size_t i = 0;
    while (i < columns_ && is_fine(i)) ++i;
    if (i == columns_) return;
    task.refused = (task.first + row) * columns_ + i;
    task.value = values[i];
  }

  const TensorConversion& conversion_;
  std::size_t columns_;
  bool same_;
};

void Converter::convert(Task& task) const {
  const std::size_t row_bytes = conversion_.tensor.encoding->row_bytes(columns_);
  std::vector<std::byte> source(task.rows * row_bytes);
  conversion_.checkpoint.read(conversion_.tensor, task.first * row_bytes, source);
  task.output.resize(task.rows * conversion_.encoding.row_bytes(columns_));
  task.error = {};
  task.refused.reset();
  for (std::uint64_t row = 0; row < task.rows; ++row)
    convert_row(source.data() + row * row_bytes, row, task);
  if (same_) task.output = std::move(source);
}

void Converter::convert_row(const std::byte* source, std::uint64_t row, Task& task) const {
  thread_local std::vector<float> values, written;
  values.resize(columns_);
  written.resize(columns_);
  conversion_.tensor.encoding->decode(source, columns_, values.data());
  // First of all: one such value would spoil the others of its block.
  const bool blocks = conversion_.encoding.block_values > 1 && !same_;
  const float greatest = blocks ? kGreatestOfBlocks : std::numeric_limits<float>::max();
  refuse_first(values, task, row, [&](std::size_t i) { return std::fabs(values[i]) <= greatest; });
  if (task.refused) return;
  if (same_) {
    written = values;
  } else {
    std::byte* target = task.output.data() + row * conversion_.encoding.row_bytes(columns_);
    conversion_.encoding.encode(values.data(), columns_, importance_of(task.first + row), target);
    conversion_.encoding.decode(target, columns_, written.data());
    refuse_first(values, task, row, [&](std::size_t i) { return std::isfinite(written[i]); });
  }
  for (std::size_t i = 0; i < columns_; ++i) {
    const double value = values[i], difference = double{written[i]} - value;
    task.error.squared_error += difference * difference;
    task.error.squared_values += value * value;
  }
}

void Converter::refuse(const Task& task) const {
  const std::uint64_t index = *task.refused;
  const std::string where =
      fmt::format("{}: tensor {} holds {} at index {} (row {}, column {})",
                  conversion_.checkpoint.files()[conversion_.tensor.file].string(),
                  conversion_.tensor.name, task.value, index, index / columns_, index % columns_);
  if (!std::isfinite(task.value)) throw Error(Fault::corrupt_file, where);
  throw Error(Fault::unsupported,
              fmt::format("{}, beyond what {} can hold", where, conversion_.encoding.name));
}

}  // namespace

ConversionError& ConversionError::operator+=(const ConversionError& other) {
  squared_error += other.squared_error;
  squared_values += other.squared_values;
  return *this;
}

double ConversionError::relative() const {
  return squared_values > 0 ? std::sqrt(squared_error / squared_values) : 0;
}

bool TensorConversion::by_importance() const {
  return !importance.empty() && &encoding != tensor.encoding && encoding.block_values > 1 &&
         encoding.name != "q8_0";
}

ConversionError TensorConversion::run(base::ThreadPool& pool,
                                      const std::function<void(std::span<const std::byte>)>& write,
                                      const std::function<void(std::uint64_t)>& progress) const {
  const Converter converter(*this);
  const std::uint64_t rows = tensor.rows();
  if (rows == 0 || tensor.columns() == 0) return {};
  const std::uint64_t task_rows = std::max<std::uint64_t>(1, kTaskValues / tensor.columns());
  std::vector<Task> tasks(
      std::min<std::uint64_t>(pool.threads() * kTasksAThread, (rows + task_rows - 1) / task_rows));
  ConversionError error;
  for (std::uint64_t first = 0; first < rows;) {
    std::size_t count = 0;
    std::uint64_t read = 0;
    for (; count < tasks.size() && first < rows; ++count) {
      tasks[count].first = first;
      tasks[count].rows = std::min(task_rows, rows - first);
      first += tasks[count].rows;
      read += tasks[count].rows * tensor.encoding->row_bytes(tensor.columns());
    }
    pool.run(count, [&](std::size_t index) { converter.work(tasks[index]); });
    for (const Task& task : std::span(tasks).first(count)) {
      if (task.failure) std::rethrow_exception(task.failure);
      if (task.refused) converter.refuse(task);
      error += task.error;
      write(task.output);
    }
    if (progress) progress(read);
  }
  return error;
}

}  // namespace malina::model
