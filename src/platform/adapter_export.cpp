#include "platform/adapter_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "base/text_file.h"
#include "math/device.h"
#include "model/adapter_gguf.h"
#include "model/merged_checkpoint.h"
#include "model/peft.h"
#include "model/transformer.h"
#include "platform/adapter_file.h"
#include "platform/model_file.h"
#include "platform/written_model.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;
using std::filesystem::path;

constexpr std::uint64_t kLargestExtra = std::uint64_t{256} << 20;

// Ordinary prose and a list: what a text is matters little, that it has many kinds of words does.
constexpr std::string_view kProbe =
    "Dear team, the invoice of 14 March was charged twice, and the second payment of 1,250.00 EUR "
    "has not been returned. Please check account 4711 and let me know by Friday; the card was "
    "blocked yesterday after a transfer that I did not make. 1. Pump P-102 leaks at the seal. 2. "
    "Replace the bearing, then test at 3 bar. Why is the sky blue? Because air scatters short "
    "waves "
    "of light more than long ones.";
constexpr std::size_t kProbeTokens = 128, kComparedTokens = 48;

std::string read_text(const path& file) {
  const base::File opened = base::File::open(file);
  if (opened.size() > kLargestExtra)
    throw Error(Fault::unsupported,
                fmt::format("{}: has {} bytes, too large for a file beside an adapter",
                            file.string(), opened.size()));
  return base::read_text(opened, kLargestExtra);
}

model::PeftFiles peft_files(const AdapterSource& source, const AdapterFile& adapter) {
  model::PeftFiles files;
  files.base_name = adapter.base_name;
  if (!adapter.peft) return files;
  const auto kept = adapter_files(source.place);
  for (std::size_t i = 2; i < kept.size(); ++i)  // after its own two
    files.extra.push_back({kept[i].filename().string(), read_text(kept[i])});
  return files;
}

class Merge {
 public:
  Merge(const AdapterSource& source, const MergeRequest& request, const ProgressSink& progress)
      : request_(request),
        progress_(progress),
        pool_(request.threads),
        device_(pool_),
        base_(open_model_file(source.base.file)),
        model_(load(base_->checkpoint)),
        adapter_(read_adapter(source.place, *model_)) {
    if (adapter_.tensors.head)
      throw Error(Fault::unsupported,
                  fmt::format("the adapter {} has a classification head, for which a merged model "
                              "has no place: export it as a PEFT directory instead",
                              source.label));
  }

  MergeReport run() {
    MergeReport report;
    report.warnings = adapter_.warnings;
    ModelFile merged_file;  // all that writing looks at
    merged_file.checkpoint =
        model::merged(base_->checkpoint, *model_, adapter_.tensors, encoding());
    const auto merged = load(merged_file.checkpoint);
    report.parity = compare(*merged);
    if (!report.parity.holds() && !request_.force) refuse(report.parity);
    report.written = write_model(merged_file, *merged, written(), is_directory(), progress_);
    return report;
  }

 private:
  bool is_directory() const { return request_.output.extension() != ".gguf"; }

  // A directory holds no block encodings: what is decoded stays so.
  const math::Encoding* encoding() const {
    if (is_directory())
      return math::find_encoding(request_.type.empty() ? "f32" : std::string_view(request_.type));
    if (request_.type.empty()) return nullptr;
    const math::Encoding* const found = math::find_encoding(std::string_view(request_.type));
    if (found == nullptr || found->encode == nullptr)
      throw Error(Fault::invalid_argument,
                  fmt::format("--type {}: is no encoding that malina writes", request_.type));
    return found;
  }

  ConvertRequest written() const {
    ConvertRequest convert;
    convert.output = request_.output;
    if (is_directory()) convert.type = request_.type;
    convert.threads = request_.threads;
    convert.replace = request_.replace;
    return convert;
  }

  std::shared_ptr<const model::Model> load(
      const std::shared_ptr<const format::Checkpoint>& checkpoint) {
    const auto total = checkpoint->total_bytes();
    return model::Model::load(
        checkpoint, device_, pool_,
        {.window = {}, .progress = [&](double share) {
           if (progress_)
             progress_({"loading", static_cast<std::uint64_t>(share * static_cast<double>(total)),
                        total});
         }});
  }

  std::vector<float> logits(const model::Model& model,
                            std::shared_ptr<const model::Adapter> adapter,
                            const std::vector<text::Token>& tokens) {
    // Not owned: the model outlives the pass.
    const std::shared_ptr<const model::Model> borrowed(std::shared_ptr<void>(), &model);
    model::PagePool pages(device_, model.sizes(), math::KvType::f32, tokens.size());
    model::Sequence sequence(pages);
    sequence.adapter = std::move(adapter);
    model::Transformer transformer(borrowed, device_,
                                   {.precision = math::Precision::exact, .max_rows = 128});
    std::vector<model::Row> rows;
    const std::size_t first = tokens.size() - std::min(tokens.size(), kComparedTokens);
    for (std::size_t i = 0; i < tokens.size(); ++i)
      rows.push_back({.token = tokens[i],
                      .sequence = &sequence,
                      .wants = i < first ? model::Wants::nothing : model::Wants::logits});
    std::vector<float> result;
    transformer.forward(rows, [&](const model::Output& output) {
      const float* values = math::host_floats(output.values);
      result.insert(result.end(), values, values + output.values.rows * output.values.columns);
    });
    return result;
  }

  MergeParity compare(const model::Model& merged) {
    std::vector<text::Token> tokens = base_->tokenizer->encode(kProbe);
    const std::size_t most = std::min(kProbeTokens, model_->sizes().context);
    if (tokens.size() > most) tokens.resize(most);
    const auto base = logits(*model_, nullptr, tokens);
    const auto adapted = logits(*model_, to_adapter(adapter_.tensors, "", device_), tokens);
    const auto now = logits(merged, nullptr, tokens);
    MergeParity parity;
    double change = 0, loss = 0;
    for (std::size_t i = 0; i < base.size(); ++i) {
      const double difference = static_cast<double>(now[i]) - adapted[i];
      change += std::pow(static_cast<double>(adapted[i]) - base[i], 2);
      loss += difference * difference;
      parity.largest = std::max(parity.largest, std::abs(difference));
    }
    const std::size_t vocab = model_->sizes().vocab;
    parity.positions = base.size() / vocab;
    for (std::size_t i = 0; i < parity.positions; ++i)
      parity.same_token += likeliest(now, i, vocab) == likeliest(adapted, i, vocab) ? 1 : 0;
    parity.change = std::sqrt(change / static_cast<double>(base.size()));
    parity.lost = change > 0 ? std::sqrt(loss / change) : (loss > 0 ? 1 : 0);
    return parity;
  }

  static std::size_t likeliest(const std::vector<float>& logits, std::size_t row,
                               std::size_t vocab) {
    const auto first = logits.begin() + static_cast<std::ptrdiff_t>(row * vocab);
    return static_cast<std::size_t>(
        std::max_element(first, first + static_cast<std::ptrdiff_t>(vocab)) - first);
  }

  [[noreturn]] static void refuse(const MergeParity& parity) {
    throw Error(Fault::unsupported,
                fmt::format("merged in this encoding the model would lose {:.0f} % of what the "
                            "adapter changes ({:.0f} % is allowed): choose an encoding of more "
                            "bits with --type (q8_0, f16), keep the adapter beside its base, or "
                            "insist with --force",
                            100 * parity.lost, 100 * MergeParity::kMostLost));
  }

  const MergeRequest& request_;
  const ProgressSink& progress_;
  base::ThreadPool pool_;
  math::CpuDevice device_;
  std::shared_ptr<const ModelFile> base_;
  std::shared_ptr<const model::Model> model_;
  AdapterFile adapter_;
};

}  // namespace

AdapterExport export_adapter(const AdapterSource& source, const path& output) {
  math::PlanningDevice device;
  const auto model = model::Model::plan(open_model_file(source.base.file)->checkpoint, device);
  const AdapterFile adapter = read_adapter(source.place, *model);
  const bool gguf = output.extension() == ".gguf";
  if (gguf)
    model::write_gguf_adapter(output, adapter.tensors, *model, source.label);
  else
    model::write_peft(output, adapter.tensors, *model, peft_files(source, adapter));
  return {.output = output,
          .format = gguf ? "GGUF" : "PEFT",
          .parameters = adapter.tensors.parameters(),
          .warnings = adapter.warnings};
}

MergeReport merge_adapter(const AdapterSource& source, const MergeRequest& request,
                          const ProgressSink& progress) {
  MergeReport report = Merge(source, request, progress).run();
  report.written.model = source.label;
  return report;
}

}  // namespace malina::platform
