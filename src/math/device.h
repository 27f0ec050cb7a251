// Where a forward pass happens. Model code issues operations, in order, to a Device and never
// touches an operand: a CPU executes at once, a planning device only counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/memory_region.h"
#include "base/thread_pool.h"
#include "math/encoding.h"

namespace malina::math {

// Device memory. On a planning device it has a size and no bytes.
class Buffer {
 public:
  Buffer(std::size_t bytes, std::byte* host) : bytes_(bytes), host_(host) {}
  virtual ~Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::size_t bytes() const { return bytes_; }
  std::byte* host() const { return host_; }  // null where the processor cannot reach it

 private:
  std::size_t bytes_;
  std::byte* host_;
};

// A place in device memory with its shape: borrowed, cheap to copy. Without an encoding it is rows
// of float32, `stride` elements apart; with one, a packed matrix (math/encoding.h).
struct Slice {
  const Buffer* buffer = nullptr;  // null: absent
  std::size_t offset = 0;          // bytes
  std::size_t rows = 0, columns = 0;
  std::size_t stride = 0;  // elements from row to row; = columns when contiguous
  const Encoding* encoding = nullptr;

  explicit operator bool() const { return buffer != nullptr; }
  std::size_t bytes() const;
  Slice row_range(std::size_t first, std::size_t count) const;     // float rows only
  Slice column_range(std::size_t first, std::size_t count) const;  // float rows only
  // Contiguous float rows, each cut into rows of `width`, which divides the columns.
  Slice split_columns(std::size_t width) const;
};

// What an operation does to memory and to the processor; the planning device sums it.
struct Cost {
  std::size_t read_bytes = 0;
  std::size_t written_bytes = 0;
  double multiply_adds = 0;
};

// What a kernel may use.
struct CpuContext {
  base::ThreadPool& pool;
  Isa isa;
};

// An operation is a small struct with
//   static constexpr std::string_view kName;
//   void check() const;                  shapes: throws base::Error(internal) naming the operation
//   Cost cost() const;
//   void compute(CpuContext&) const;     the CPU kernel
class Device {
 public:
  virtual ~Device() = default;

  // Zeroed. Throws base::Error(out_of_memory).
  virtual std::unique_ptr<Buffer> allocate(std::size_t bytes) = 0;
  virtual std::string_view name() const = 0;

  template <class Operation>
  void run(const Operation& operation) {
    operation.check();
    execute(Command{Operation::kName, &operation,
                    [](const void* self, CpuContext& context) {
                      static_cast<const Operation*>(self)->compute(context);
                    },
                    [](const void* self) { return static_cast<const Operation*>(self)->cost(); }});
  }

 protected:
  struct Command {
    std::string_view name;
    const void* operation;  // valid during execute only
    void (*compute)(const void*, CpuContext&);
    Cost (*cost)(const void*);
  };
  virtual void execute(const Command& command) = 0;
};

// Executes each operation before run() returns, on the given pool. One caller at a time.
class CpuDevice : public Device {
 public:
  explicit CpuDevice(base::ThreadPool& pool, Isa isa = selected_isa()) : context_{pool, isa} {}
  std::unique_ptr<Buffer> allocate(std::size_t bytes) override;
  std::string_view name() const override { return "cpu"; }
  CpuContext& context() { return context_; }

 protected:
  void execute(const Command& command) override { command.compute(command.operation, context_); }

 private:
  CpuContext context_;
};

// Counts what the same code would allocate, move and compute. Nothing is allocated.
class PlanningDevice : public Device {
 public:
  std::unique_ptr<Buffer> allocate(std::size_t bytes) override;
  std::string_view name() const override { return "plan"; }

  std::size_t allocated_bytes() const { return allocated_bytes_; }
  const Cost& total() const { return total_; }
  // By operation, in order of first use.
  const std::vector<std::pair<std::string_view, Cost>>& by_operation() const { return costs_; }
  void reset_costs();

 protected:
  void execute(const Command& command) override;

 private:
  std::size_t allocated_bytes_ = 0;
  Cost total_;
  std::vector<std::pair<std::string_view, Cost>> costs_;
};

// The host address of a float slice: for kernels, and for the edges where data enters or leaves.
inline float* host_floats(const Slice& slice) {
  return reinterpret_cast<float*>(slice.buffer->host() + slice.offset);
}
inline PackedMatrix packed_matrix(const Slice& slice) {
  return {slice.buffer->host() + slice.offset, slice.rows, slice.columns};
}

// A contiguous float slice of [rows, columns] at byte `offset` of a buffer.
Slice float_slice(const Buffer& buffer, std::size_t offset, std::size_t rows, std::size_t columns);
Slice packed_slice(const Buffer& buffer, std::size_t offset, std::size_t rows, std::size_t columns,
                   const Encoding& encoding);
// Bytes of a packed matrix, padded to whole groups and to 64.
std::size_t packed_bytes(std::size_t rows, std::size_t columns, const Encoding& encoding);

// Throws base::Error(internal, "operation: what"): a defect in the code that issued it.
void require(bool condition, std::string_view operation, std::string_view what);

}  // namespace malina::math
