#include "platform/quantization.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "base/thread_pool.h"
#include "format/gguf_writer.h"
#include "model/column_importance.h"
#include "model/model.h"
#include "model/quantization_mix.h"
#include "model/tensor_conversion.h"
#include "platform/model_file.h"
#include "platform/written_model.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;

constexpr std::uint64_t kQuantizationVersion = 2;  // of the block formats: GGML_QNT_VERSION

// Of the file that was read, and not true of the one that is written: its parts, and how and by
// what it was quantised.
bool is_replaced(std::string_view key) {
  return key.starts_with("split.") || key.starts_with("quantize.imatrix.") ||
         key == "general.file_type" || key == "general.quantization_version";
}

constexpr std::size_t kWindow = 512;  // tokens of a calibration that see each other

// A text's windows of tokens, each with a BOS where the model has one there.
std::vector<std::vector<std::int32_t>> windows_of(const text::Tokenizer& tokenizer,
                                                  std::string_view text, std::size_t context) {
  const std::vector<text::Token> tokens = tokenizer.encode(text);
  const bool bos = tokenizer.adds_bos() && tokenizer.bos();
  const std::size_t own = std::max<std::size_t>(2, std::min(kWindow, context)) - (bos ? 1 : 0);
  std::vector<std::vector<std::int32_t>> windows;
  for (std::size_t first = 0; first < tokens.size(); first += own) {
    auto& window = windows.emplace_back();
    if (bos) window.push_back(*tokenizer.bos());
    const std::size_t count = std::min(own, tokens.size() - first);
    const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(first);
    window.insert(window.end(), begin, begin + static_cast<std::ptrdiff_t>(count));
  }
  return windows;
}

// What a calibration found, and of how much.
struct Calibration {
  model::ColumnImportance importance;
  std::size_t windows = 0, tokens = 0;
};

Calibration calibrate(const ModelFile& file, const QuantizeRequest& request,
                      const ProgressSink& progress) {
  base::ThreadPool pool(request.threads);
  model::ObservingDevice device(pool);
  const std::uint64_t bytes = file.checkpoint->total_bytes();
  const auto loading = [&](double share) {
    if (progress)
      progress({"loading", static_cast<std::uint64_t>(share * static_cast<double>(bytes)), bytes});
  };
  const auto model =
      model::Model::load(file.checkpoint, device, pool, {.window = {}, .progress = loading});
  const auto windows = windows_of(*file.tokenizer, request.calibration, model->sizes().context);
  Calibration result;
  result.windows = windows.size();
  for (const auto& window : windows) result.tokens += window.size();
  if (result.tokens == 0)
    throw Error(Fault::invalid_argument,
                request.calibration_name + ": has no text to calibrate with");
  result.importance = model::measure_importance(model, device, windows, [&](std::size_t done) {
    if (progress)
      progress({"calibrating", request.calibration.size() * done / windows.size(),
                request.calibration.size()});
  });
  return result;
}

void check_calibration(const QuantizeRequest& request) {
  if (request.calibration_name.empty()) return;
  for (const std::string_view name : {"f16", "bf16", "q8_0"})
    if (request.encoding == name)
      throw Error(Fault::invalid_argument,
                  fmt::format("{} loses too little for a calibration to matter", name));
}

format::Metadata output_metadata(const format::Checkpoint& checkpoint,
                                 const model::QuantizationMix& mix, const Calibration& calibration,
                                 const std::string& calibration_name) {
  format::Metadata metadata;  // views the checkpoint's texts
  for (const auto& entry : checkpoint.metadata().entries())
    if (!is_replaced(entry.key)) metadata.add(entry.key, entry.value, entry.stored);
  metadata.add("general.file_type", std::uint64_t{mix.file_type});
  metadata.add("general.quantization_version", kQuantizationVersion);
  if (calibration.windows == 0) return metadata;
  metadata.add("quantize.imatrix.dataset", std::string_view(calibration_name));
  metadata.add("quantize.imatrix.entries_count",
               std::int64_t{static_cast<std::int64_t>(calibration.importance.entries())},
               format::StoredType::i32);
  metadata.add("quantize.imatrix.chunks_count",
               std::int64_t{static_cast<std::int64_t>(calibration.windows)},
               format::StoredType::i32);
  return metadata;
}

const model::QuantizationMix& find_mix(const std::string& encoding) {
  if (const auto* mix = model::find_quantization_mix(encoding)) return *mix;
  throw Error(Fault::invalid_argument,
              fmt::format("'{}' is not an encoding to quantise to: {}", encoding,
                          fmt::join(quantization_encodings(), ", ")));
}

void check_output(const QuantizeRequest& request, const format::Checkpoint& checkpoint) {
  std::error_code unknown;
  if (!std::filesystem::exists(request.output, unknown)) return;
  if (std::filesystem::is_directory(request.output, unknown))
    throw Error(Fault::invalid_argument, request.output.string() + ": is a folder");
  for (const auto& file : checkpoint.files())
    if (std::filesystem::equivalent(file, request.output, unknown))
      throw Error(Fault::invalid_argument,
                  request.output.string() + ": is the model that is to be quantised");
  if (!request.replace)
    throw Error(Fault::already_exists,
                request.output.string() + ": exists already; --force replaces it");
}

void check_runs(const std::shared_ptr<const format::Checkpoint>& checkpoint) {
  if (checkpoint->tensors().empty())
    throw Error(Fault::unsupported, checkpoint->files().front().string() +
                                        ": is a vocabulary alone, without weights to quantise");
  math::PlanningDevice device;
  model::Model::plan(checkpoint, device);
}

// The tensors one after another, from the source into the file.
class Quantization {
 public:
  Quantization(const ModelFile& source, const model::QuantizationMix& mix,
               const QuantizeRequest& request, const Calibration& calibration)
      : checkpoint_(*source.checkpoint),
        importance_(calibration.importance),
        pool_(request.threads) {
    const bool tied = checkpoint_.find("output.weight") == nullptr;
    std::uint64_t bytes = 0;
    for (const auto& tensor : checkpoint_.tensors()) {
      choices_.push_back(model::choose_encoding(mix, tensor, tied));
      plans_.push_back({tensor.name, choices_.back().encoding, tensor.shape});
      bytes += tensor.rows() * choices_.back().encoding->row_bytes(tensor.columns());
    }
    check_space(request.output, bytes);
    using Existing = base::AtomicFile::Existing;
    writer_.emplace(request.output,
                    output_metadata(checkpoint_, mix, calibration, request.calibration_name),
                    plans_, request.replace ? Existing::replace : Existing::refuse);
  }

  void run(const ProgressSink& progress, QuantizeReport& report) {
    std::uint64_t bytes = 0;
    for (const auto& tensor : checkpoint_.tensors()) bytes += tensor.bytes;
    ByteCounter counter("quantizing", bytes, progress);
    model::ConversionError total;
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      const auto& tensor = checkpoint_.tensors()[i];
      const model::TensorConversion conversion{checkpoint_, tensor, *choices_[i].encoding,
                                               importance_.of(tensor.name)};
      report.calibrated_tensors += conversion.by_importance() ? 1 : 0;
      const auto error = conversion.run(
          pool_, [&](std::span<const std::byte> piece) { writer_->write(piece); },
          [&](std::uint64_t read) { counter.add(read); });
      total += error;
      add(tensor, choices_[i], error, report);
    }
    report.error = total.relative();
    checkpoint_.check();  // the metadata that was written came from a mapped file
    writer_->commit();
  }

 private:
  static void add(const format::TensorInfo& tensor, const model::EncodingChoice& choice,
                  const model::ConversionError& error, QuantizeReport& report) {
    const std::uint64_t parameters = tensor.rows() * tensor.columns();
    report.tensors.push_back({.name = tensor.name,
                              .from = std::string(tensor.encoding->name),
                              .to = std::string(choice.encoding->name),
                              .reason = choice.reason,
                              .parameters = parameters,
                              .bytes = tensor.rows() * choice.encoding->row_bytes(tensor.columns()),
                              .error = error.relative()});
    report.parameters += parameters;
    const std::string before(tensor.encoding->name);
    if (is_lossy(*tensor.encoding) && tensor.encoding != choice.encoding &&
        std::ranges::find(report.quantized_before, before) == report.quantized_before.end())
      report.quantized_before.push_back(before);
  }

  const format::Checkpoint& checkpoint_;
  const model::ColumnImportance& importance_;
  base::ThreadPool pool_;
  std::vector<model::EncodingChoice> choices_;
  std::vector<format::TensorPlan> plans_;
  std::optional<format::GgufWriter> writer_;
};

}  // namespace

std::vector<std::string> quantization_encodings() {
  std::vector<std::string> names;
  for (const auto& mix : model::quantization_mixes()) names.emplace_back(mix.encoding);
  return names;
}

QuantizeReport quantize_model(const ResolvedModel& source, const QuantizeRequest& request,
                              const ProgressSink& progress) {
  const model::QuantizationMix& mix = find_mix(request.encoding);
  const auto file = open_model_file(source.file);
  check_output(request, *file->checkpoint);
  check_calibration(request);
  check_runs(file->checkpoint);
  QuantizeReport report;
  report.model = source.label;
  report.output = request.output;
  report.encoding = mix.encoding;
  report.source_bytes = file->checkpoint->total_bytes();
  report.from = encoding_shares(*file->checkpoint);
  Calibration calibration;
  if (!request.calibration_name.empty()) calibration = calibrate(*file, request, progress);
  report.calibration_tokens = calibration.tokens;
  Quantization(*file, mix, request, calibration).run(progress, report);
  const auto written = format::Checkpoint::open(request.output);
  report.output_bytes = written->total_bytes();
  report.to = encoding_shares(*written);
  return report;
}

}  // namespace malina::platform
