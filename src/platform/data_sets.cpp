#include "platform/data_sets.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "platform/model_file.h"
#include "platform/platform.h"
#include "platform/processor.h"

namespace malina::platform {

namespace {

using Json = nlohmann::ordered_json;

// The tokens of one example as the model is given them: a conversation through its template, other
// texts as they stand.
class TokenCounter {
 public:
  explicit TokenCounter(std::shared_ptr<const ModelFile> file) : file_(std::move(file)) {}

  std::size_t operator()(const tune::Example& example) const {
    const text::EncodeOptions bos{.add_bos = tokenizer().adds_bos()};
    if (const auto* one = example.classification())  // with the end at which the answer is read
      return tokenizer().encode(one->text, bos).size() + (tokenizer().eos() ? 1 : 0);
    if (const auto* one = example.completion())
      return tokenizer().encode(one->prompt + one->completion, bos).size() +
             (tokenizer().eos() ? 1 : 0);  // which is learned as well
    return tokenizer().encode(render(*example.conversation()), bos).size();
  }

  std::optional<std::size_t> context() const {
    const auto& metadata = file_->checkpoint->metadata();
    const auto found = metadata.integer(family(*file_->checkpoint) + ".context_length");
    return found ? std::optional(static_cast<std::size_t>(*found)) : std::nullopt;
  }

 private:
  const text::Tokenizer& tokenizer() const { return *file_->tokenizer; }

  std::vector<text::Span> render(const tune::Conversation& conversation) const {
    const auto found = file_->templates.find("");
    if (found == file_->templates.end()) {
      if (const auto refused = file_->refused_templates.find("");
          refused != file_->refused_templates.end())
        throw refused->second;
      throw base::Error(base::Fault::unsupported,
                        "the model has no chat template, and the data set has conversations");
    }
    const auto piece = [&](std::optional<text::Token> token) {
      return token ? std::string(tokenizer().piece(*token)) : std::string();
    };
    text::TemplateInput input;
    input.messages = tune::template_messages(conversation);
    input.tools = conversation.tools;
    input.add_generation_prompt = false;
    input.bos_token = piece(tokenizer().bos());
    input.eos_token = piece(tokenizer().eos());
    return found->second.render(input);
  }

  std::shared_ptr<const ModelFile> file_;
};

tune::CheckProgress steps(const ProgressSink& progress, std::string_view unit_of_comparing) {
  if (!progress) return {};
  return [&progress, unit_of_comparing](std::string_view step, std::uint64_t done,
                                        std::uint64_t total) {
    const bool bytes = step == "reading";
    progress({.step = step,
              .done_bytes = done,
              .total_bytes = total,
              .kept_bytes = 0,
              .unit = bytes ? std::string_view() : unit_of_comparing});
  };
}

Json counts_json(const std::vector<std::pair<std::string, std::uint64_t>>& counts,
                 std::string_view name, std::string_view number) {
  Json list = Json::array();
  for (const auto& [what, count] : counts)
    list.push_back({{std::string(name), what}, {std::string(number), count}});
  return list;
}

Json lengths_json(const tune::Lengths& lengths) {
  return {{"p50", lengths.p50},
          {"p95", lengths.p95},
          {"max", lengths.most},
          {"sum", lengths.sum},
          {"bin_width", lengths.bin_width},
          {"bins", lengths.bins}};
}

Json repeats_json(const tune::Repeats& repeats, const DataReport& report) {
  Json listed = Json::array();
  for (const tune::Repeat& one : repeats.listed)
    listed.push_back({{"line", one.line},
                      {"other_part", report.parts[one.other_part].name},
                      {"other_line", one.other_line},
                      {"similarity", one.similarity},
                      {"verbatim", one.verbatim},
                      {"other_answer", one.other_answer}});
  return {{"rows", repeats.rows()},
          {"verbatim", repeats.verbatim},
          {"same", repeats.same},
          {"near", repeats.near},
          {"other_answer", repeats.other_answer},
          {"listed", std::move(listed)}};
}

Json errors_json(const tune::PartReport& part) {
  Json errors = Json::array();
  for (const tune::DatasetError& error : part.errors)
    errors.push_back({{"line", error.place.line}, {"what", error.what}});
  return errors;
}

Json contradictions_json(const tune::PartReport& part) {
  Json list = Json::array();
  for (const tune::Contradiction& one : part.contradictions)
    list.push_back({{"lines", one.lines}, {"labels", one.labels}});
  return list;
}

Json personal_data_json(const tune::PartReport& part) {
  Json list = Json::array();
  for (const auto& [kind, found] : part.personal_data)
    list.push_back({{"kind", name(kind)},
                    {"rows", found.rows},
                    {"occurrences", found.occurrences},
                    {"lines", found.lines}});
  return list;
}

Json part_json(const tune::PartReport& part, const DataReport& report) {
  Json truncated = Json::array();
  for (const tune::LongRow& row : part.truncated)
    truncated.push_back({{"line", row.line}, {"tokens", row.tokens}});
  Json suspected = Json::array();
  for (const tune::Suspicion& one : part.suspected)
    suspected.push_back({{"line", one.line},
                         {"given", one.given},
                         {"suggested", one.suggested},
                         {"margin", one.margin}});
  return {{"name", part.name},
          {"path", part.path.string()},
          {"format", describe(part.format)},
          {"size_bytes", part.bytes},
          {"digest", part.digest.hex()},
          {"rows", part.rows},
          {"bad_rows", part.bad_rows},
          {"errors", errors_json(part)},
          {"answers", answers_name(part.answers)},
          {"several_labels", part.several_labels},
          {"labels", counts_json(part.labels, "label", "rows")},
          {"slot_types", counts_json(part.slot_types, "type", "spans")},
          {"prefixes", part.wrappers.prefixes},
          {"suffixes", part.wrappers.suffixes},
          {"duplicates", repeats_json(part.duplicates, report)},
          {"leaks", repeats_json(part.leaks, report)},
          {"contradicted_rows", part.contradicted_rows},
          {"contradictions", contradictions_json(part)},
          {"suspected_rows", part.suspected_rows ? Json(*part.suspected_rows) : Json()},
          {"suspected", std::move(suspected)},
          {"characters", lengths_json(part.characters)},
          {"tokens", part.tokens ? lengths_json(*part.tokens) : Json()},
          {"truncated_rows", part.truncated_rows},
          {"truncated", std::move(truncated)},
          {"personal_data", personal_data_json(part)},
          {"licences", counts_json(part.licences, "licence", "rows")},
          {"licence_file", part.licence_file.empty() ? Json() : Json(part.licence_file.string())}};
}

}  // namespace

std::string severity_name(tune::Severity severity) {
  return severity == tune::Severity::error ? "error" : "warning";
}

std::string answers_name(tune::Answers answers) {
  switch (answers) {
    case tune::Answers::labels:
      return "labels";
    case tune::Answers::spans:
      return "spans";
    case tune::Answers::free:
      break;
  }
  return "free";
}

Json data_report_json(const DataReport& report) {
  Json findings = Json::array(), parts = Json::array();
  for (const tune::Finding& finding : report.findings)
    findings.push_back({{"severity", severity_name(finding.severity)},
                        {"kind", finding.kind},
                        {"part", finding.part},
                        {"what", finding.what}});
  for (const tune::PartReport& part : report.parts) parts.push_back(part_json(part, report));
  return {{"accepted", !report.refused()},
          {"findings", std::move(findings)},
          {"near", report.near},
          {"max_tokens", report.max_tokens ? Json(*report.max_tokens) : Json()},
          {"parts", std::move(parts)}};
}

Json split_report_json(const SplitReport& report) {
  Json parts = Json::array();
  for (const auto& part : report.parts)
    parts.push_back({{"name", part.name},
                     {"path", part.output.string()},
                     {"rows", part.rows},
                     {"size_bytes", part.bytes},
                     {"digest", part.digest.hex()},
                     {"labels", counts_json(part.labels, "label", "rows")}});
  return {{"format", describe(report.format)},
          {"rows", report.rows},
          {"skipped_rows", report.skipped_rows},
          {"groups", report.groups},
          {"parts", std::move(parts)}};
}

DataReport Platform::check_data(const DataCheckRequest& request, const ProgressSink& progress) {
  tune::CheckRequest check;
  check.parts.push_back({"train", request.train});
  if (request.validation) check.parts.push_back({"validation", *request.validation});
  if (request.test) check.parts.push_back({"test", *request.test});
  check.reading.text = request.text;
  check.reading.label = request.label;
  check.near = request.near;
  check.most_leaks = request.most_leaks;
  if (request.suspect_labels) check.suspect_labels = &processor(0).pool;
  if (!request.model.empty()) {
    const TokenCounter counter(model_file(request.model));
    check.max_tokens = request.max_tokens ? request.max_tokens : counter.context();
    check.count_tokens = counter;
  }
  return tune::check_data(check, steps(progress, "rows"));
}

SplitReport Platform::split_data(const SplitRequest& request, const ProgressSink& progress) {
  return tune::split_data(request, steps(progress, "rows"));
}

}  // namespace malina::platform
