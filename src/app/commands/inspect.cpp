// malina inspect: what a model is and needs, before anything of it is loaded.
#include "app/command.h"
#include "app/number_checks.h"
#include "app/progress_bar.h"

namespace malina::app {

namespace {

using platform::Inspection;
using Rows = std::vector<std::vector<std::string>>;

struct Options {
  std::string model, kv_type = "f16";
  std::optional<std::uint64_t> context;
  bool no_digest = false, json = false;
};

Json token_json(const std::optional<platform::NamedToken>& token) {
  if (!token) return {};
  return {{"id", token->id}, {"piece", token->piece}};
}

Json tokenizer_json(const Inspection& model) {
  const auto& tokenizer = model.tokenizer;
  Json end_tokens = Json::array();
  for (const auto& token : tokenizer.end_tokens) end_tokens.push_back(token_json(token));
  return {{"model", tokenizer.model},
          {"pre_tokenizer", tokenizer.pre_tokenizer},
          {"vocabulary", tokenizer.vocabulary},
          {"bos", token_json(tokenizer.bos)},
          {"eos", token_json(tokenizer.eos)},
          {"end_tokens", std::move(end_tokens)},
          {"adds_bos", tokenizer.adds_bos},
          {"adds_eos", tokenizer.adds_eos},
          {"adds_space_prefix", tokenizer.adds_space_prefix},
          {"warnings", tokenizer.warnings}};
}

double share(std::uint64_t part, const Inspection& model) {
  std::uint64_t total = 0;
  for (const auto& encoding : model.encodings) total += encoding.bytes;
  return total == 0 ? 0 : static_cast<double>(part) / static_cast<double>(total);
}

Json sizes_json(const Inspection& model) {
  if (!model.sizes) return {};
  const auto& sizes = *model.sizes;
  return {{"layers", sizes.layers},
          {"width", sizes.width},
          {"heads", sizes.heads},
          {"kv_heads", sizes.kv_heads},
          {"head_width", sizes.head_width},
          {"hidden", sizes.hidden},
          {"vocabulary", sizes.vocabulary},
          {"context", sizes.context},
          {"window", sizes.window ? Json(*sizes.window) : Json()},
          {"window_layers", sizes.window_layers},
          {"window_source", sizes.window_source},
          {"rotary_scaling", sizes.rotary_scaling},
          {"tied", sizes.tied}};
}

Json memory_json(const Inspection& model) {
  if (!model.memory) return {};
  const auto& memory = *model.memory;
  return {{"context", memory.context},
          {"kv_type", memory.kv_type},
          {"weight_bytes", memory.weight_bytes},
          {"cache_bytes", memory.cache_bytes},
          {"activation_bytes", memory.activation_bytes},
          {"total_bytes", memory.total_bytes},
          {"available_bytes", memory.available_bytes}};
}

Json report_json(const Inspection& model) {
  Json files = Json::array(), encodings = Json::array(), templates = Json::array();
  for (const auto& file : model.files) files.push_back(file.string());
  for (const auto& encoding : model.encodings)
    encodings.push_back({{"name", encoding.encoding},
                         {"tensors", encoding.tensors},
                         {"parameters", encoding.parameters},
                         {"bytes", encoding.bytes},
                         {"share", share(encoding.bytes, model)}});
  for (const auto& chat : model.templates)
    templates.push_back({{"name", chat.name},
                         {"bytes", chat.bytes},
                         {"refused", chat.refused.empty() ? Json() : Json(chat.refused)}});
  return {{"model", model.model},
          {"name", model.name ? Json(*model.name) : Json()},
          {"title", model.title},
          {"licence", model.licence},
          {"files", std::move(files)},
          {"size_bytes", model.size_bytes},
          {"digest", model.digest ? Json(*model.digest) : Json()},
          {"format", model.format},
          {"architecture", model.architecture},
          {"family", model.family.empty() ? Json() : Json(model.family)},
          {"family_reason", model.family_reason},
          {"parameters", model.parameters},
          {"sizes", sizes_json(model)},
          {"memory", memory_json(model)},
          {"encodings", std::move(encodings)},
          {"warnings", model.warnings},
          {"tokenizer", tokenizer_json(model)},
          {"templates", std::move(templates)}};
}

std::string token_text(const platform::NamedToken& token) {
  return fmt::format("{} {}", token.id, printable(token.piece));
}

void add_tokenizer(const Inspection& model, Rows& rows) {
  const auto& tokenizer = model.tokenizer;
  std::string line = fmt::format("{}{}{}, {} tokens", printable(tokenizer.model),
                                 tokenizer.pre_tokenizer.empty() ? "" : " / ",
                                 printable(tokenizer.pre_tokenizer), grouped(tokenizer.vocabulary));
  rows.push_back({"tokenizer", line});
  rows.push_back({"  begins with",
                  tokenizer.bos && tokenizer.adds_bos ? token_text(*tokenizer.bos) : "nothing"});
  std::string ends;
  for (const auto& token : tokenizer.end_tokens)
    ends += (ends.empty() ? "" : ", ") + token_text(token);
  rows.push_back({"  ends at", ends.empty() ? "nothing" : ends});
  for (const std::string& warning : tokenizer.warnings)
    rows.push_back({"  note", printable(warning)});
}

void add_sizes(const Inspection& model, Rows& rows) {
  if (model.parameters != 0) rows.push_back({"parameters", human_count(model.parameters)});
  for (const std::string& warning : model.warnings) rows.push_back({"  note", printable(warning)});
  if (model.sizes) {
    const auto& sizes = *model.sizes;
    rows.push_back(
        {"layers", fmt::format("{} of width {}, feed-forward {}{}", sizes.layers, sizes.width,
                               sizes.hidden, sizes.tied ? ", output tied to the embedding" : "")});
    rows.push_back({"heads", fmt::format("{} query, {} key and value, of width {}", sizes.heads,
                                         sizes.kv_heads, sizes.head_width)});
    std::string window;
    if (sizes.window)
      window = fmt::format(", each sees {}{} ({})", grouped(*sizes.window),
                           sizes.window_layers == sizes.layers
                               ? ""
                               : fmt::format(" in {} layers", sizes.window_layers),
                           sizes.window_source);
    rows.push_back({"context", fmt::format("{} tokens{}, rotary scaling {}", grouped(sizes.context),
                                           window, printable(sizes.rotary_scaling))});
  }
  if (model.memory) {
    const auto& memory = *model.memory;
    const bool fits = memory.total_bytes <= memory.available_bytes;
    rows.push_back({"memory", fmt::format("{} for {} tokens: weights {}, keys and values in {} {}, "
                                          "activations {}",
                                          human_bytes(memory.total_bytes), grouped(memory.context),
                                          human_bytes(memory.weight_bytes), memory.kv_type,
                                          human_bytes(memory.cache_bytes),
                                          human_bytes(memory.activation_bytes))});
    rows.push_back(
        {"", fmt::format("{} the {} that are available now", fits ? "fits in" : "does NOT fit in",
                         human_bytes(memory.available_bytes))});
  }
}

Rows report_rows(const Inspection& model) {
  const auto or_dash = [](const std::string& text) { return text.empty() ? "-" : printable(text); };
  Rows rows{{"model", printable(model.model)},
            {"title", or_dash(model.title)},
            {"licence", or_dash(model.licence)}};
  for (const auto& file : model.files) rows.push_back({"file", printable(file.string())});
  rows.push_back({"size", fmt::format("{} ({} bytes), {}", human_bytes(model.size_bytes),
                                      grouped(model.size_bytes), model.format)});
  if (model.digest) rows.push_back({"sha256", *model.digest});
  const std::string family = model.family.empty() ? "cannot be run" : model.family;
  rows.push_back(
      {"family", fmt::format("{} ({})", printable(family), printable(model.family_reason))});
  add_sizes(model, rows);
  for (const auto& encoding : model.encodings)
    rows.push_back(
        {"encoding", fmt::format("{:<6} {:5.1f} % of the bytes, {} tensors", encoding.encoding,
                                 100 * share(encoding.bytes, model), encoding.tensors)});
  add_tokenizer(model, rows);
  if (model.templates.empty()) rows.push_back({"chat template", "none"});
  for (const auto& chat : model.templates) {
    rows.push_back({"chat template",
                    fmt::format("{}{} bytes", chat.name.empty() ? "" : printable(chat.name) + ": ",
                                grouped(chat.bytes))});
    if (!chat.refused.empty()) rows.push_back({"  refused", printable(chat.refused)});
  }
  return rows;
}

void run(const Options& options, Session& session) {
  Inspection model;
  {
    ProgressBar bar(session.console());
    model = session.platform().inspect(
        options.model,
        {.context = options.context, .kv_type = options.kv_type, .digest = !options.no_digest},
        bar.sink());
  }
  if (options.json)
    session.console().json(report_json(model));
  else
    session.console().write(table(report_rows(model)));
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  cli.add_option("MODEL", options->model,
                 "A model's name, or the path of a GGUF file or a directory")
      ->required();
  cli.add_option("--context", options->context,
                 "Tokens to plan memory for; otherwise as many as the model was made for")
      ->type_name("TOKENS")
      ->check(context_tokens());
  cli.add_option("--kv", options->kv_type, "Type of keys and values to plan memory for")
      ->type_name("f32|f16|q8_0")
      ->capture_default_str();
  cli.add_flag("--no-digest", options->no_digest,
               "Do not digest a file that is not in the store (it reads every byte)");
  cli.add_flag("--json", options->json, "Print the report as JSON");
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command inspect{.name = "inspect",
                             .summary = "Show what a model is and needs, without loading it",
                             .details = "",
                             .examples =
                                 "  malina inspect smollm2-135m-instruct\n"
                                 "  malina inspect smollm2-135m-instruct --context 2048 --kv q8_0\n"
                                 "  malina inspect ./model.gguf --json | jq .memory.total_bytes\n",
                             .setup = setup};

}  // namespace malina::app
