#include "platform/quantization.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "base/thread_pool.h"
#include "format/gguf_writer.h"
#include "model/model.h"
#include "model/quantization_mix.h"
#include "model/tensor_conversion.h"
#include "platform/model_file.h"

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

format::Metadata output_metadata(const format::Checkpoint& checkpoint,
                                 const model::QuantizationMix& mix) {
  format::Metadata metadata;  // views the checkpoint's texts
  for (const auto& entry : checkpoint.metadata().entries())
    if (!is_replaced(entry.key)) metadata.add(entry.key, entry.value, entry.stored);
  metadata.add("general.file_type", std::uint64_t{mix.file_type});
  metadata.add("general.quantization_version", kQuantizationVersion);
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

// The disk is asked before the work, which may take an hour.
void check_space(const std::filesystem::path& output, std::uint64_t bytes) {
  std::error_code unknown;
  const auto folder = std::filesystem::absolute(output, unknown).parent_path();
  const auto space = std::filesystem::space(folder, unknown);
  if (!unknown && space.available < bytes)
    throw Error(Fault::io,
                fmt::format("{}: the file will have {} MB and the disk has {} MB left",
                            output.string(), bytes / 1'000'000, space.available / 1'000'000));
}

bool is_lossy(const math::Encoding& encoding) { return encoding.block_values > 1; }

// The tensors one after another, from the source into the file.
class Quantization {
 public:
  Quantization(const ModelFile& source, const model::QuantizationMix& mix,
               const QuantizeRequest& request)
      : checkpoint_(*source.checkpoint), pool_(request.threads) {
    const bool tied = checkpoint_.find("output.weight") == nullptr;
    std::uint64_t bytes = 0;
    for (const auto& tensor : checkpoint_.tensors()) {
      choices_.push_back(model::choose_encoding(mix, tensor, tied));
      plans_.push_back({tensor.name, choices_.back().encoding, tensor.shape});
      bytes += tensor.rows() * choices_.back().encoding->row_bytes(tensor.columns());
    }
    check_space(request.output, bytes);
    using Existing = base::AtomicFile::Existing;
    writer_.emplace(request.output, output_metadata(checkpoint_, mix), plans_,
                    request.replace ? Existing::replace : Existing::refuse);
  }

  void run(const ProgressSink& progress, QuantizeReport& report) {
    std::uint64_t bytes = 0;
    for (const auto& tensor : checkpoint_.tensors()) bytes += tensor.bytes;
    ByteCounter counter("quantizing", bytes, progress);
    model::ConversionError total;
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      const auto& tensor = checkpoint_.tensors()[i];
      const model::TensorConversion conversion{checkpoint_, tensor, *choices_[i].encoding};
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
  check_runs(file->checkpoint);
  QuantizeReport report;
  report.model = source.label;
  report.output = request.output;
  report.encoding = mix.encoding;
  report.source_bytes = file->checkpoint->total_bytes();
  report.from = encoding_shares(*file->checkpoint);
  Quantization(*file, mix, request).run(progress, report);
  const auto written = format::Checkpoint::open(request.output);
  report.output_bytes = written->total_bytes();
  report.to = encoding_shares(*written);
  return report;
}

}  // namespace malina::platform
