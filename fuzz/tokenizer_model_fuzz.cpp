// Any bytes as a SentencePiece tokenizer.model.
#include <string>

#include "hugging_face_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  malina::text::HuggingFaceFiles files;
  files.tokenizer_model = {"tokenizer.model",
                           std::string(reinterpret_cast<const char*>(data), size)};
  malina::fuzz::check_files(files);
  return 0;
}
