// What a text makes of a model's matrices: how large the activations are that each column of a
// matrix is multiplied with. An error in a weight counts as the square of that (Hassibi and Stork,
// 1993, with the diagonal alone; llama.cpp calls the list an importance matrix).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "math/ops/linear.h"
#include "model/model.h"

namespace malina::model {

// Of a tensor: the mean of the squared activations of each column, [columns]; [experts, columns]
// where a tensor holds the matrices of several experts, zeros for one that was never chosen.
class ColumnImportance {
 public:
  // Empty where nothing is known: the tensor is no matrix, or nothing ran through it.
  std::span<const float> of(const std::string& tensor) const;
  std::size_t entries() const { return columns_.size(); }
  void set(const std::string& tensor, std::vector<float> importance) {
    columns_[tensor] = std::move(importance);
  }

 private:
  std::map<std::string, std::vector<float>> columns_;
};

// A processor that sums, beside computing, the squares of what goes into every product with a
// packed matrix. One caller at a time, as for any device.
class ObservingDevice : public math::CpuDevice {
 public:
  using math::CpuDevice::CpuDevice;

  // Counts float rows as the input of a product with `weight`.
  void observe(const math::Slice& weight, const math::Slice& input);

  struct Sums {
    std::vector<double> squares;  // by column
    std::uint64_t rows = 0;
  };
  // Null where the matrix was not used.
  const Sums* find(const math::Slice& weight) const;

 protected:
  void execute(const Command& command) override;

 private:
  void add(const math::Slice& input, std::span<Sums* const> targets);
  Sums& sums(const math::Slice& weight);

  std::map<std::pair<const math::Buffer*, std::size_t>, Sums> sums_;
};

// Runs windows of tokens through a model that was loaded to `device` and returns what was observed.
// `progress` gets the number of windows done and may throw. Throws base::Error: corrupt_file where
// activations are not finite, out_of_memory.
ColumnImportance measure_importance(std::shared_ptr<const Model> model, ObservingDevice& device,
                                    std::span<const std::vector<std::int32_t>> windows,
                                    const std::function<void(std::size_t)>& progress);

}  // namespace malina::model
