// A model's file into another one with its matrices in a smaller encoding.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "platform/encoding_share.h"
#include "platform/model_store.h"
#include "platform/progress.h"

namespace malina::platform {

struct QuantizeRequest {
  std::filesystem::path output;
  std::string encoding;  // one of quantization_encodings()
  unsigned threads = 0;  // 0: the cores that this process may use
  bool replace = false;  // a file that stands at `output`
  // Empty, or a text: what it makes of the model says which columns' errors count how much. The
  // model must fit in memory then.
  std::string calibration = {};
  std::string calibration_name = {};  // of the text, for the file's metadata
};

struct QuantizedTensor {
  std::string name, from, to;
  std::string reason;  // why not the encoding that was asked for; empty where it is that
  std::uint64_t parameters = 0, bytes = 0;
  double error = 0;  // root mean square of the difference, relative to that of the values
};

struct QuantizeReport {
  std::string model;  // the name or path that was asked for
  std::filesystem::path output;
  std::string encoding;
  std::uint64_t source_bytes = 0, output_bytes = 0, parameters = 0;
  double error = 0;                     // as of a tensor, over all
  std::size_t calibration_tokens = 0;   // 0: not calibrated
  std::size_t calibrated_tensors = 0;   // written by importance
  std::vector<EncodingShare> from, to;  // by bytes, most first
  // Encodings of the source that had lost precision before, which nothing brings back.
  std::vector<std::string> quantized_before;
  std::vector<QuantizedTensor> tensors;  // in file order
};

// What `encoding` of a request may be.
std::vector<std::string> quantization_encodings();

// The output appears complete or not at all. Metadata is copied, with what says how the file is
// quantised. Throws base::Error: invalid_argument (no such encoding; the output is the model
// itself; a calibration without tokens, or for an encoding that has no use for it), already_exists,
// what Model::plan throws of a model that does not run, corrupt_file and unsupported of values
// (model/tensor_conversion.h), io.
QuantizeReport quantize_model(const ResolvedModel& source, const QuantizeRequest& request,
                              const ProgressSink& progress);

}  // namespace malina::platform
