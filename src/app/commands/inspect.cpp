// malina inspect: what a model is and needs, before anything of it is loaded.
#include "app/command.h"
#include "app/progress_bar.h"

namespace malina::app {

namespace {

using platform::Inspection;
using Rows = std::vector<std::vector<std::string>>;

struct Options {
  std::string model;
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
    templates.push_back({{"name", chat.name}, {"bytes", chat.bytes}});
  return {{"model", model.model},
          {"name", model.name ? Json(*model.name) : Json()},
          {"title", model.title},
          {"licence", model.licence},
          {"files", std::move(files)},
          {"size_bytes", model.size_bytes},
          {"digest", model.digest ? Json(*model.digest) : Json()},
          {"format", model.format},
          {"family", {{"name", model.family}, {"reason", model.family_reason}}},
          {"sizes",
           {{"parameters", model.parameters},
            {"layers", model.layers},
            {"width", model.width},
            {"heads", model.heads},
            {"kv_heads", model.kv_heads},
            {"head_width", model.head_width},
            {"hidden", model.hidden},
            {"context", model.context}}},
          {"encodings", std::move(encodings)},
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

Rows report_rows(const Inspection& model) {
  const auto or_dash = [](const std::string& text) { return text.empty() ? "-" : printable(text); };
  Rows rows{{"model", printable(model.model)},
            {"title", or_dash(model.title)},
            {"licence", or_dash(model.licence)}};
  for (const auto& file : model.files) rows.push_back({"file", printable(file.string())});
  rows.push_back({"size", fmt::format("{} ({} bytes), {}", human_bytes(model.size_bytes),
                                      grouped(model.size_bytes), model.format)});
  if (model.digest) rows.push_back({"sha256", *model.digest});
  if (model.family.empty()) {
    rows.push_back({"family", "none: a vocabulary alone"});
  } else {
    rows.push_back({"family", fmt::format("{} ({})", printable(model.family),
                                          printable(model.family_reason))});
    rows.push_back({"parameters", human_count(model.parameters)});
    rows.push_back({"layers", fmt::format("{} of width {}, feed-forward {}", model.layers,
                                          model.width, model.hidden)});
    rows.push_back({"heads", fmt::format("{} query, {} key and value, of width {}", model.heads,
                                         model.kv_heads, model.head_width)});
    rows.push_back({"context", fmt::format("{} tokens", grouped(model.context))});
  }
  for (const auto& encoding : model.encodings)
    rows.push_back(
        {"encoding", fmt::format("{:<6} {:5.1f} % of the bytes, {} tensors", encoding.encoding,
                                 100 * share(encoding.bytes, model), encoding.tensors)});
  add_tokenizer(model, rows);
  if (model.templates.empty()) rows.push_back({"chat template", "none"});
  for (const auto& chat : model.templates)
    rows.push_back({"chat template",
                    fmt::format("{}{} bytes", chat.name.empty() ? "" : printable(chat.name) + ": ",
                                grouped(chat.bytes))});
  return rows;
}

void run(const Options& options, Session& session) {
  Inspection model;
  {
    ProgressBar bar(session.console());
    model = session.platform().inspect(options.model, {.digest = !options.no_digest}, bar.sink());
  }
  if (options.json)
    session.console().json(report_json(model));
  else
    session.console().write(table(report_rows(model)));
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  cli.add_option("MODEL", options->model, "A model's name, or the path of a GGUF file")->required();
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
                                 "  malina inspect ./model.gguf --json | jq .sizes.context\n",
                             .setup = setup};

}  // namespace malina::app
