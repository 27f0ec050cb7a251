// What leaves of an adapter: in PEFT's form or llama.cpp's, or merged into its base.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "platform/conversion.h"
#include "platform/model_store.h"
#include "platform/progress.h"

namespace malina::platform {

// An adapter on disk and the base that it is for.
struct AdapterSource {
  std::string label;            // as the user called it
  std::filesystem::path place;  // what read_adapter() takes
  ResolvedModel base;
};

struct AdapterExport {
  std::filesystem::path output;
  std::string format;  // "PEFT" or "GGUF"
  std::size_t parameters = 0;
  std::vector<std::string> warnings;  // of the adapter's configuration
};

// An output that ends in .gguf becomes a GGUF adapter, any other a PEFT directory with the files
// that stood beside the adapter. Nothing that exists is replaced. Throws what reading and writing
// either throws.
AdapterExport export_adapter(const AdapterSource& source, const std::filesystem::path& output);

struct MergeRequest {
  // A GGUF file where the name ends in .gguf, otherwise a Hugging Face directory.
  std::filesystem::path output;
  // Of adapted matrices in a GGUF file: an encoding; empty: what the base has. Of all matrices of a
  // directory: f32, f16 or bf16.
  std::string type;
  bool force = false;    // write it though it lost too much
  bool replace = false;  // a GGUF file that stands at `output`
  unsigned threads = 0;
};

// What became of the change that the adapter makes, over logits of a text in exact arithmetic:
// base, base with adapter, and merged.
struct MergeParity {
  std::size_t positions = 0;
  double change = 0;   // root mean square of what the adapter changes
  double lost = 0;     // of the merged model's difference from base with adapter, by `change`
  double largest = 0;  // difference of a logit
  std::size_t same_token = 0;  // positions whose likeliest token is the same
  static constexpr double kMostLost = 0.1;
  bool holds() const { return lost <= kMostLost; }
};

struct MergeReport {
  ConvertReport written;
  MergeParity parity;
  std::vector<std::string> warnings;
};

// The merged model is compared before anything is written: it needs memory for two of the model.
// Throws unsupported where more than kMostLost of the change is lost, which encodings of few bits
// do, unless `force`; where there is a classification head; and what convert_model() throws.
MergeReport merge_adapter(const AdapterSource& source, const MergeRequest& request,
                          const ProgressSink& progress);

}  // namespace malina::platform
