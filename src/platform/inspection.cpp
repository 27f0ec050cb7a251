#include "platform/inspection.h"

#include <fmt/format.h>

#include "platform/model_file.h"

namespace malina::platform {

namespace {

std::string text(const format::Metadata& metadata, std::string_view key) {
  return std::string(metadata.text(key).value_or(""));
}

// Head counts may be given layer by layer; then the largest stands for all.
std::uint64_t count(const format::Metadata& metadata, const std::string& key) {
  const auto* value = metadata.find(key);
  if (value == nullptr) return 0;
  if (const auto* array = std::get_if<format::MetadataArray>(value)) {
    std::int64_t largest = 0;
    for (const std::int64_t entry : array->integers) largest = std::max(largest, entry);
    return static_cast<std::uint64_t>(largest);
  }
  return metadata.integer(key).value_or(0);
}

void report_sizes(const format::Checkpoint& checkpoint, Inspection& result) {
  for (const EncodingShare& share : result.encodings) result.parameters += share.parameters;
  const format::Metadata& metadata = checkpoint.metadata();
  const auto get = [&](std::string_view key) {
    return count(metadata, fmt::format("{}.{}", result.family, key));
  };
  result.layers = get("block_count");
  result.width = get("embedding_length");
  result.heads = get("attention.head_count");
  result.kv_heads = get("attention.head_count_kv");
  if (result.kv_heads == 0) result.kv_heads = result.heads;
  result.head_width = get("attention.key_length");
  if (result.head_width == 0 && result.heads != 0) result.head_width = result.width / result.heads;
  result.hidden = get("feed_forward_length");
  result.context = get("context_length");
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
  for (const auto& [name, unused] : file.templates) {
    const std::string key =
        name.empty() ? "tokenizer.chat_template" : "tokenizer.chat_template." + name;
    result.templates.push_back({name, text(file.checkpoint->metadata(), key).size()});
  }
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
  result.format = fmt::format("GGUF v{}", checkpoint.version());
  result.title = text(checkpoint.metadata(), "general.name");
  result.licence = text(checkpoint.metadata(), "general.license");
  result.family = family(checkpoint);
  result.family_reason = "general.architecture is " + result.family;
  result.encodings = encoding_shares(checkpoint);
  report_sizes(checkpoint, result);
  report_tokenizer(*file->tokenizer, result);
  report_templates(*file, result);
  if (options.digest) result.digest = digest(resolved, checkpoint, progress);
  return result;
}

}  // namespace malina::platform
