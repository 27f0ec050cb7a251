#include "platform/inspection.h"

#include <fmt/format.h>

#include <limits>

#include "base/error.h"
#include "base/machine.h"
#include "math/device.h"
#include "model/transformer.h"
#include "platform/model_file.h"

namespace malina::platform {

namespace {

std::string text(const format::Metadata& metadata, std::string_view key) {
  return std::string(metadata.text(key).value_or(""));
}

math::KvType kv_type(const std::string& name) {
  for (const auto type : {math::KvType::f32, math::KvType::f16, math::KvType::q8_0})
    if (name == math::name(type)) return type;
  throw base::Error(base::Fault::invalid_argument,
                    fmt::format("'{}' is not a type of keys and values: f32, f16 or q8_0", name));
}

void report_sizes(const model::Sizes& sizes, Inspection& result) {
  result.sizes = {.layers = sizes.layers,
                  .width = sizes.width,
                  .heads = sizes.heads,
                  .kv_heads = sizes.kv_heads,
                  .head_width = sizes.head_width,
                  .hidden = sizes.hidden,
                  .vocabulary = sizes.vocab,
                  .context = sizes.context,
                  .window = {},
                  .window_layers = 0,
                  .window_source = sizes.window_source,
                  .rotary_scaling = sizes.rotary_scaling,
                  .tied = sizes.tied};
  if (sizes.window() == 0) return;
  result.sizes->window = sizes.window();
  for (const model::LayerKind& kind : sizes.kinds)
    if (kind.window != 0) result.sizes->window_layers += kind.layers;
}

// The same code that loads and runs a model, on a device that only counts.
void plan(const std::shared_ptr<const format::Checkpoint>& checkpoint,
          const InspectOptions& options, Inspection& result) {
  const math::KvType type = kv_type(options.kv_type);
  math::PlanningDevice device;
  const auto planned = model::Model::plan(checkpoint, device);
  result.family = planned->architecture().name;
  result.family_reason = planned->reason();
  report_sizes(planned->sizes(), result);
  Inspection::Memory memory{};
  memory.context = options.context.value_or(planned->sizes().context);
  memory.kv_type = math::name(type);
  memory.weight_bytes = planned->weight_bytes();
  if (memory.context == 0 || memory.context > std::numeric_limits<std::uint32_t>::max() / 2)
    throw base::Error(base::Fault::invalid_argument,
                      fmt::format("a context of {} tokens is out of range", memory.context));
  const model::Transformer transformer(planned, device, {.context = memory.context});
  memory.cache_bytes =
      model::PagePool::bytes_for(planned->sizes(), type, memory.context, transformer.max_rows());
  memory.activation_bytes = transformer.scratch_bytes();
  memory.total_bytes = memory.weight_bytes + memory.cache_bytes + memory.activation_bytes;
  memory.available_bytes = base::read_machine().usable_bytes();
  result.memory = memory;
}

// Inspection is how one learns why a model is refused: here the refusal is part of the answer.
void report_family(const std::shared_ptr<const format::Checkpoint>& checkpoint,
                   const InspectOptions& options, Inspection& result) {
  result.architecture = family(*checkpoint);
  for (const EncodingShare& share : result.encodings) result.parameters += share.parameters;
  if (checkpoint->tensors().empty()) {
    result.family_reason = "a vocabulary alone, without weights";
    return;
  }
  try {
    plan(checkpoint, options, result);
  } catch (const base::Error& error) {
    if (error.fault() != base::Fault::unsupported) throw;
    result.family.clear();
    result.family_reason = error.what();
  }
}

void report_tokenizer(const text::Tokenizer& tokenizer, Inspection& result) {
  auto& report = result.tokenizer;
  const auto named = [&](text::Token id) {
    return NamedToken{id, std::string(tokenizer.piece(id))};
  };
  report.model = tokenizer.model();
  report.pre_tokenizer = tokenizer.pre_tokenizer();
  report.vocabulary = tokenizer.vocabulary_size();
  if (const auto bos = tokenizer.bos()) report.bos = named(*bos);
  if (const auto eos = tokenizer.eos()) report.eos = named(*eos);
  for (const text::Token id : tokenizer.end_tokens()) report.end_tokens.push_back(named(id));
  report.adds_bos = tokenizer.adds_bos();
  report.adds_eos = tokenizer.adds_eos();
  report.adds_space_prefix = tokenizer.adds_space_prefix();
  report.warnings.assign(tokenizer.warnings().begin(), tokenizer.warnings().end());
}

void report_templates(const ModelFile& file, Inspection& result) {
  const auto add = [&](const std::string& name, const std::string& refused) {
    const std::string key =
        name.empty() ? "tokenizer.chat_template" : "tokenizer.chat_template." + name;
    std::string source(text(file.checkpoint->metadata(), key));
    result.templates.push_back({name, source.size(), refused, std::move(source)});
  };
  for (const auto& [name, unused] : file.templates) add(name, "");
  for (const auto& [name, error] : file.refused_templates) add(name, error.what());
}

std::string digest(const ResolvedModel& resolved, const format::Checkpoint& checkpoint,
                   const ProgressSink& progress) {
  if (resolved.record) return resolved.record->digest.hex();
  ByteCounter counter("digesting", checkpoint.total_bytes(), progress);
  std::vector<base::Digest> digests;
  for (const auto& file : checkpoint.files()) digests.push_back(hash_file(file, counter));
  return model_digest(digests).hex();
}

}  // namespace

Inspection inspect_model(const ResolvedModel& resolved, const InspectOptions& options,
                         const ProgressSink& progress) {
  const auto file = open_model_file(resolved.file);
  const format::Checkpoint& checkpoint = *file->checkpoint;
  Inspection result;
  result.model = resolved.label;
  if (resolved.record) result.name = resolved.record->name;
  result.files.assign(checkpoint.files().begin(), checkpoint.files().end());
  result.size_bytes = checkpoint.total_bytes();
  result.format = checkpoint.format_name();
  result.title = text(checkpoint.metadata(), "general.name");
  result.licence = text(checkpoint.metadata(), "general.license");
  result.encodings = encoding_shares(checkpoint);
  result.warnings.assign(checkpoint.warnings().begin(), checkpoint.warnings().end());
  report_family(file->checkpoint, options, result);
  report_tokenizer(*file->tokenizer, result);
  report_templates(*file, result);
  if (options.digest) result.digest = digest(resolved, checkpoint, progress);
  return result;
}

}  // namespace malina::platform
