// The product's verbs. Commands and endpoints call these and only translate: every rule, record and
// piece of model work is behind this door. Results are plain values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/conversion.h"
#include "platform/family_report.h"
#include "platform/generation.h"
#include "platform/inspection.h"
#include "platform/language_model.h"
#include "platform/machine_report.h"
#include "platform/model_store.h"
#include "platform/progress.h"
#include "platform/pull.h"
#include "platform/quantization.h"
#include "platform/speed.h"

namespace malina::platform {

struct ModelFile;

struct TokenizeOptions {
  bool bos = false;      // the model's BOS first, if it has one
  bool special = false;  // control tokens are read from the text
};

struct TokenizedText {
  std::vector<std::int32_t> ids;
  std::vector<std::string> pieces;  // the vocabulary's spellings; bytes, not always UTF-8
};

// Built once, in main. Safe on many threads. Failures are base::Error.
class Platform {
 public:
  explicit Platform(std::filesystem::path home);
  ~Platform();

  // The store (model_store.h), and the one way into it from the network (pull.h).
  ImportOutcome import_model(const ImportRequest& request, const ProgressSink& progress = {});
  PullOutcome pull_model(const PullRequest& request, const PullChooser& choose,
                         const ProgressSink& progress = {});
  std::vector<ModelRecord> list_models();
  Removal remove_model(std::string_view name);
  Verification verify_model(std::string_view name, const ProgressSink& progress = {});

  // `model` is a name or a path. The vocabulary of the last one stays loaded.
  TokenizedText tokenize(std::string_view model, std::string_view text,
                         const TokenizeOptions& options = {});
  // The bytes of tokens; of control tokens nothing, or with `special` their names. Throws
  // invalid_argument where an id is not in the vocabulary.
  std::string detokenize(std::string_view model, std::span<const std::int32_t> ids,
                         bool special = false);

  Inspection inspect(std::string_view model, const InspectOptions& options = {},
                     const ProgressSink& progress = {});
  MachineReport machine() const;
  std::vector<FamilyReport> families() const;

  // Loads a model to answer with; the caller keeps it. Throws as LanguageModel does.
  std::unique_ptr<LanguageModel> load(std::string_view model, const RunOptions& options,
                                      const ProgressSink& progress = {});
  // Writes a copy of a model with its matrices in another encoding (quantization.h).
  QuantizeReport quantize(std::string_view model, const QuantizeRequest& request,
                          const ProgressSink& progress = {});
  // Writes a Hugging Face directory as a GGUF file, or a GGUF file as a directory (conversion.h).
  ConvertReport convert(std::string_view model, const ConvertRequest& request,
                        const ProgressSink& progress = {});
  SpeedTestResult speed_test(std::string_view model, const SpeedTestOptions& options);

 private:
  std::shared_ptr<const ModelFile> model_file(std::string_view model);

  ModelStore store_;
  std::mutex mutex_;
  std::string last_label_;
  std::shared_ptr<const ModelFile> last_file_;
};

}  // namespace malina::platform
