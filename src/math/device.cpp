#include "math/device.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace malina::math {
namespace {

class HostBuffer : public Buffer {
 public:
  explicit HostBuffer(base::MemoryRegion region)
      : Buffer(region.size(), region.data()), region_(std::move(region)) {}

 private:
  base::MemoryRegion region_;
};

void accumulate(Cost& into, const Cost& cost) {
  into.read_bytes += cost.read_bytes;
  into.written_bytes += cost.written_bytes;
  into.multiply_adds += cost.multiply_adds;
}

}  // namespace

std::size_t Slice::bytes() const {
  if (encoding != nullptr) return packed_bytes(rows, columns, *encoding);
  return rows == 0 ? 0 : ((rows - 1) * stride + columns) * sizeof(float);
}

Slice Slice::row_range(std::size_t first, std::size_t count) const {
  require(encoding == nullptr && first + count <= rows, "slice", "row range outside of the slice");
  Slice result = *this;
  result.offset += first * stride * sizeof(float);
  result.rows = count;
  return result;
}

Slice Slice::column_range(std::size_t first, std::size_t count) const {
  require(encoding == nullptr && first + count <= columns, "slice",
          "column range outside of the slice");
  Slice result = *this;
  result.offset += first * sizeof(float);
  result.columns = count;
  return result;
}

Slice Slice::split_columns(std::size_t width) const {
  require(encoding == nullptr && stride == columns && width != 0 && columns % width == 0, "slice",
          "rows cannot be cut");
  Slice result = *this;
  result.rows = rows * (columns / width);
  result.columns = result.stride = width;
  return result;
}

std::unique_ptr<Buffer> CpuDevice::allocate(std::size_t bytes) {
  return std::make_unique<HostBuffer>(base::MemoryRegion(bytes));
}

std::unique_ptr<Buffer> PlanningDevice::allocate(std::size_t bytes) {
  allocated_bytes_ += bytes;
  return std::make_unique<Buffer>(bytes, nullptr);
}

void PlanningDevice::execute(const Command& command) {
  const Cost cost = command.cost(command.operation);
  accumulate(total_, cost);
  auto entry = std::find_if(costs_.begin(), costs_.end(),
                            [&](const auto& known) { return known.first == command.name; });
  if (entry == costs_.end()) entry = costs_.insert(entry, {command.name, Cost{}});
  accumulate(entry->second, cost);
}

void PlanningDevice::reset_costs() {
  total_ = {};
  costs_.clear();
}

Slice float_slice(const Buffer& buffer, std::size_t offset, std::size_t rows, std::size_t columns) {
  require(offset + rows * columns * sizeof(float) <= buffer.bytes(), "slice", "outside its buffer");
  return {&buffer, offset, rows, columns, columns, nullptr};
}

Slice packed_slice(const Buffer& buffer, std::size_t offset, std::size_t rows, std::size_t columns,
                   const Encoding& encoding) {
  require(offset + packed_bytes(rows, columns, encoding) <= buffer.bytes(), "slice",
          "outside its buffer");
  return {&buffer, offset, rows, columns, columns, &encoding};
}

std::size_t packed_bytes(std::size_t rows, std::size_t columns, const Encoding& encoding) {
  const std::size_t groups = (rows + kGroupRows - 1) / kGroupRows;
  return (groups * encoding.group_bytes(columns) + 63) / 64 * 64;
}

void require(bool condition, std::string_view operation, std::string_view what) {
  if (!condition)
    throw base::Error(base::Fault::internal, fmt::format("operation {}: {}", operation, what));
}

}  // namespace malina::math
