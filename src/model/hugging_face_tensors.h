// The tensors of a Hugging Face directory as a GGUF file would have them. Part of
// model/hugging_face.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/checkpoint.h"
#include "format/safetensors.h"
#include "model/hugging_face_config.h"

namespace malina::model {

// Of a rule's name: its first "{}" replaced; without one it stays.
inline constexpr std::string_view kHole = "{}";
std::string filled(std::string_view name, std::uint64_t number);

// Bytes that are made when they are read: of one tensor, of several behind each other, or computed.
struct ConvertedTensor {
  format::TensorInfo info;  // .file counts the weights' files from 0; of a computed one it is 0
  std::vector<const format::SafetensorsTensor*> sources;
  std::vector<float> computed;     // instead of sources
  std::uint64_t paired_heads = 0;  // 0: rows are as they are (TensorRule::Rows)
  bool widened = false;            // the sources' values as float32, and with this added:
  float offset = 0;
};

// Immutable; safe to read from many threads.
class ConvertedTensors {
 public:
  // Keeps references to `weights`. Throws base::Error: corrupt_file where a tensor is missing, has
  // a shape that no rule can take or contradicts config.json; unsupported where one is of a type
  // that is no weight here, or is not the family's. Messages name the directory's own tensors.
  ConvertedTensors(const HuggingFaceConfig& config, const HuggingFaceSizes& sizes,
                   const format::SafetensorsModel& weights);

  std::span<const ConvertedTensor> tensors() const { return tensors_; }
  // What the tie flag and the files disagree about, one sentence; empty where they agree.
  const std::string& warning() const { return warning_; }

  // As Checkpoint::read.
  void read(const ConvertedTensor& tensor, std::uint64_t offset, std::span<std::byte> output) const;

 private:
  void read_sources(const ConvertedTensor& tensor, std::uint64_t offset,
                    std::span<std::byte> output) const;
  void read_stacked(const ConvertedTensor& tensor, std::uint64_t offset,
                    std::span<std::byte> output) const;
  void read_widened(const ConvertedTensor& tensor, std::uint64_t offset,
                    std::span<std::byte> output) const;

  const format::SafetensorsModel& weights_;
  std::vector<ConvertedTensor> tensors_;
  std::string warning_;
};

}  // namespace malina::model
