#include "platform/conversion.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/atomic_folder.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "format/gguf_writer.h"
#include "format/safetensors_writer.h"
#include "model/hugging_face.h"
#include "model/hugging_face_export.h"
#include "model/model.h"
#include "model/tensor_conversion.h"
#include "platform/model_file.h"
#include "platform/written_model.h"
#include "text/hugging_face_export.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;
using Json = nlohmann::ordered_json;
using std::filesystem::path;

std::uint64_t bytes_of(const format::Checkpoint& checkpoint) {
  std::uint64_t bytes = 0;
  for (const auto& tensor : checkpoint.tensors()) bytes += tensor.bytes;
  return bytes;
}

class Export {
 public:
  Export(const ModelFile& source, const model::Model& model, const ConvertRequest& request)
      : request_(request),
        own_(source.checkpoint),
        model_(model),
        view_(model::as_hugging_face(source.checkpoint, model)),
        tokenizer_(text::export_hugging_face_tokenizer(source.checkpoint->metadata())),
        pool_(request.threads) {
    for (const auto& tensor : view_->tensors()) {
      targets_.push_back(target_of(tensor));
      bytes_ += tensor.rows() * targets_.back()->row_bytes(tensor.columns());
    }
    divide();
  }

  void run(const ProgressSink& progress, ConvertReport& report) {
    check_space(request_.output, bytes_);
    base::AtomicFolder folder(request_.output);
    ByteCounter counter("converting", bytes_of(*view_), progress);
    model::ConversionError total;
    for (std::size_t i = 0; i < shards_.size(); ++i)
      total += write_shard(folder.place(), i, counter, report);
    report.error = total.relative();
    own_->check();
    write_small_files(folder);
    read_again(folder.place());
    for (const auto& entry : std::filesystem::directory_iterator(folder.place())) {
      report.files.push_back(entry.path().filename().string());
      report.output_bytes += entry.file_size();
    }
    std::ranges::sort(report.files);
    folder.commit();
  }

 private:
  struct Shard {
    std::size_t first = 0, end = 0;  // of the tensors
  };

  // Vectors stay in float32 where they are: norms are few, and rounding them costs much.
  const math::Encoding* target_of(const format::TensorInfo& tensor) const {
    const bool asked = !request_.type.empty() && tensor.shape.size() > 1;
    if (asked) return math::find_encoding(request_.type);
    return is_lossy(*tensor.encoding) ? math::find_encoding("f32") : tensor.encoding;
  }

  void divide() {
    std::uint64_t size = 0;
    for (std::size_t i = 0; i < targets_.size(); ++i) {
      const auto& tensor = view_->tensors()[i];
      const std::uint64_t own = tensor.rows() * targets_[i]->row_bytes(tensor.columns());
      if (shards_.empty() || (size > 0 && size + own > request_.shard_bytes)) {
        shards_.push_back({i, i});
        size = 0;
      }
      shards_.back().end = i + 1;
      size += own;
    }
  }

  std::string shard_name(std::size_t index) const {
    if (shards_.size() == 1) return "model.safetensors";
    return fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, shards_.size());
  }

  model::ConversionError write_shard(const path& folder, std::size_t index, ByteCounter& counter,
                                     ConvertReport& report) {
    const Shard shard = shards_[index];
    std::vector<format::SafetensorsPlan> plan;
    for (std::size_t i = shard.first; i < shard.end; ++i) {
      const auto& tensor = view_->tensors()[i];
      plan.push_back({tensor.name, targets_[i], {tensor.shape.rbegin(), tensor.shape.rend()}});
    }
    format::SafetensorsWriter writer(folder / shard_name(index), plan);
    model::ConversionError total;
    for (std::size_t i = shard.first; i < shard.end; ++i) {
      const auto& tensor = view_->tensors()[i];
      const model::TensorConversion conversion{*view_, tensor, *targets_[i]};
      total += conversion.run(
          pool_, [&](std::span<const std::byte> piece) { writer.write(piece); },
          [&](std::uint64_t read) { counter.add(read); });
      report.parameters += tensor.rows() * tensor.columns();
      const std::string before(tensor.encoding->name);
      if (is_lossy(*tensor.encoding) &&
          std::ranges::find(report.decoded, before) == report.decoded.end())
        report.decoded.push_back(before);
    }
    report.tensors += shard.end - shard.first;
    writer.commit();
    return total;
  }

  // Nothing is written that this program could not open again.
  static void read_again(const path& folder) {
    try {
      math::PlanningDevice device;
      model::Model::plan(open_model_file(folder)->checkpoint, device);
    } catch (const Error& error) {
      std::string cause = error.what();
      const std::string place = folder.string() + "/";
      if (cause.starts_with(place)) cause.erase(0, place.size());  // it will not be there
      throw Error(Fault::unsupported,
                  "the model cannot be written as a Hugging Face directory, which could not be "
                  "read again: " +
                      cause);
    }
  }

  static Json one_or_all(const std::vector<std::uint64_t>& ids) {
    if (ids.empty()) return {};
    return ids.size() == 1 ? Json(ids.front()) : Json(ids);
  }

  // As Transformers calls the type that most bytes of the weights have.
  std::string type_name() const {
    std::map<std::string_view, std::uint64_t> bytes;
    for (std::size_t i = 0; i < targets_.size(); ++i)
      bytes[targets_[i]->name] += view_->tensors()[i].rows() * view_->tensors()[i].columns();
    const auto most = std::ranges::max_element(
        bytes, [](const auto& a, const auto& b) { return a.second < b.second; });
    if (most->first == "bf16") return "bfloat16";
    return most->first == "f16" ? "float16" : "float32";
  }

  void write_small_files(const base::AtomicFolder& folder) const {
    Json config = model::hugging_face_config(*own_, model_);
    config["torch_dtype"] = type_name();
    Json generation = Json::object();
    for (const auto& [key, ids] :
         {std::pair{"bos_token_id", &tokenizer_.bos}, std::pair{"eos_token_id", &tokenizer_.eos},
          std::pair{"pad_token_id", &tokenizer_.padding}}) {
      config[key] = ids->empty() ? Json() : Json(ids->front());
      if (!ids->empty()) generation[key] = one_or_all(*ids);
    }
    folder.write("config.json", config.dump(2) + "\n");
    folder.write("generation_config.json", generation.dump(2) + "\n");
    for (const auto& file : tokenizer_.files) folder.write(file.name, file.content);
    if (shards_.size() == 1) return;
    Json index{{"metadata", {{"total_size", bytes_}}}, {"weight_map", Json::object()}};
    auto& places = index["weight_map"].get_ref<Json::object_t&>();
    for (std::size_t s = 0; s < shards_.size(); ++s)
      for (std::size_t i = shards_[s].first; i < shards_[s].end; ++i)
        places.emplace_back(view_->tensors()[i].name, shard_name(s));
    folder.write("model.safetensors.index.json", index.dump(2) + "\n");
  }

  const ConvertRequest& request_;
  std::shared_ptr<const format::Checkpoint> own_;
  const model::Model& model_;
  std::shared_ptr<const format::Checkpoint> view_;
  text::ExportedTokenizer tokenizer_;
  base::ThreadPool pool_;
  std::vector<const math::Encoding*> targets_;
  std::vector<Shard> shards_;
  std::uint64_t bytes_ = 0;
};

// general.file_type: enum llama_ftype of llama.cpp, by what most of the weights are in.
std::uint64_t file_type(const std::vector<EncodingShare>& shares) {
  const std::string& most = shares.front().encoding;
  if (most == "bf16") return 32;
  return most == "f16" ? 1 : 0;
}

void write_gguf(const ModelFile& source, const ConvertRequest& request,
                const ProgressSink& progress, ConvertReport& report) {
  const format::Checkpoint& checkpoint = *source.checkpoint;
  if (!request.type.empty())
    throw Error(Fault::invalid_argument,
                "--type is of directories; 'malina quantize' writes a GGUF file in any encoding");
  if (std::error_code unknown; std::filesystem::is_directory(request.output, unknown))
    throw Error(Fault::invalid_argument,
                request.output.string() + ": is a folder; a directory becomes a GGUF file");
  if (std::error_code unknown; !request.replace && std::filesystem::exists(request.output, unknown))
    throw Error(Fault::already_exists,
                request.output.string() + ": exists already; --force replaces it");
  std::vector<format::TensorPlan> plans;
  for (const auto& tensor : checkpoint.tensors())
    plans.push_back({tensor.name, tensor.encoding, tensor.shape});
  check_space(request.output, bytes_of(checkpoint));
  format::Metadata metadata;  // views the checkpoint's texts
  for (const auto& entry : checkpoint.metadata().entries())
    metadata.add(entry.key, entry.value, entry.stored);
  if (!metadata.contains("general.file_type"))
    metadata.add("general.file_type", file_type(report.from));
  using Existing = base::AtomicFile::Existing;
  format::GgufWriter writer(request.output, metadata, plans,
                            request.replace ? Existing::replace : Existing::refuse);
  base::ThreadPool pool(request.threads);
  ByteCounter counter("converting", bytes_of(checkpoint), progress);
  for (const auto& tensor : checkpoint.tensors()) {
    model::TensorConversion{checkpoint, tensor, *tensor.encoding}.run(
        pool, [&](std::span<const std::byte> piece) { writer.write(piece); },
        [&](std::uint64_t read) { counter.add(read); });
    report.parameters += tensor.rows() * tensor.columns();
  }
  checkpoint.check();
  writer.commit();
  report.tensors = plans.size();
  report.output_bytes = std::filesystem::file_size(request.output);
}

void write_directory(const ModelFile& source, const model::Model& model,
                     const ConvertRequest& request, const ProgressSink& progress,
                     ConvertReport& report) {
  std::error_code unknown;
  if (std::filesystem::exists(request.output, unknown))
    throw Error(Fault::already_exists,
                request.output.string() + ": exists already; name a directory that does not");
  if (request.output.extension() == ".gguf")
    throw Error(
        Fault::invalid_argument,
        fmt::format("{}: the model is a GGUF file already; 'malina quantize' writes another "
                    "one",
                    request.output.string()));
  Export(source, model, request).run(progress, report);
}

}  // namespace

ConvertReport write_model(const ModelFile& source, const model::Model& model,
                          const ConvertRequest& request, bool directory,
                          const ProgressSink& progress) {
  ConvertReport report;
  report.output = request.output;
  report.source_bytes = source.checkpoint->total_bytes();
  report.from = encoding_shares(*source.checkpoint);
  report.format = directory ? "safetensors" : "GGUF";
  if (directory)
    write_directory(source, model, request, progress, report);
  else
    write_gguf(source, request, progress, report);
  return report;
}

ConvertReport convert_model(const ResolvedModel& source, const ConvertRequest& request,
                            const ProgressSink& progress) {
  const auto file = open_model_file(source.file);
  if (file->checkpoint->tensors().empty())
    throw Error(Fault::unsupported,
                source.file.string() + ": is a vocabulary alone, without weights to convert");
  math::PlanningDevice device;
  const auto model = model::Model::plan(file->checkpoint, device);
  ConvertReport report =
      write_model(*file, *model, request, !model::is_hugging_face(source.file), progress);
  report.model = source.label;
  return report;
}

}  // namespace malina::platform
