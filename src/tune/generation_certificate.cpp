#include "tune/generation_certificate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/digest.h"
#include "base/error.h"
#include "base/json_text.h"
#include "tune/data/row_parser.h"

namespace malina::tune {

using base::Error;
using base::Fault;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::string_view kFormat = "malina adapter certificate 1";
constexpr double kMostTolerance = 1;

[[noreturn]] void refuse(const std::string& name, std::string_view what) {
  throw Error(Fault::corrupt_file, fmt::format("{}: {}", name, what));
}

const Json& value(const Json& json, const char* key, const std::string& name) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (found == json.end()) refuse(name, fmt::format("'{}' is missing", key));
  return *found;
}

double number(const Json& json, const char* key, double least, double most,
              const std::string& name) {
  const Json& found = value(json, key, name);
  const double read = found.is_number() ? found.get<double>() : most + 1;
  if (!(read >= least && read <= most))
    refuse(name, fmt::format("'{}' is no number from {} to {}", key, least, most));
  return read;
}

std::uint64_t length_of(std::span<const TrainingExample> examples) {
  std::uint64_t length = 0;
  for (const TrainingExample& example : examples) length += example.tokens.size();
  return length;
}

double weight_of(std::span<const TrainingExample> examples) {
  double weight = 0;
  for (const TrainingExample& example : examples)
    for (const float each : example.weights) weight += double{each};
  return weight;
}

std::vector<TrainingExample> examples_of(const Json& row, const GenerationForm& form,
                                         const std::string& name) {
  const Example example = example_of(row, name);
  try {
    return generation_examples(example, form);
  } catch (const Error& error) {
    if (error.fault() != Fault::invalid_argument) throw;
    return {};  // a template that refuses it reads it otherwise
  }
}

}  // namespace

Json row_json(const Example& example) {
  if (const Completion* completion = example.completion())
    return {{"prompt", completion->prompt}, {"completion", completion->completion}};
  const Conversation* conversation = example.conversation();
  if (conversation == nullptr) return nullptr;
  Json messages = template_messages(*conversation);
  for (std::size_t i = 0; i < messages.size(); ++i)
    if (conversation->messages[i].role == "assistant")
      messages[i]["weight"] = conversation->messages[i].weight > 0 ? 1 : 0;
  Json row{{"messages", std::move(messages)}};
  if (!conversation->tools.is_null()) row["tools"] = conversation->tools;
  return row;
}

Example example_of(const Json& row, const std::string& name) {
  Example example;
  try {
    if (row.is_object() && row.contains("messages"))
      std::visit([&](auto&& content) { example.content = std::move(content); }, chat_row(row));
    else if (row.is_object())
      std::visit([&](auto&& content) { example.content = std::move(content); },
                 completion_row(row));
    else
      throw BadRow{"it is no object"};
  } catch (const BadRow& bad) {
    refuse(name, fmt::format("a row cannot be read: {}", bad.what));
  }
  return example;
}

std::string examples_digest(std::span<const TrainingExample> examples) {
  base::Sha256 digest;
  std::string bytes;
  const auto add = [&](std::uint32_t number) {
    for (unsigned shift = 0; shift < 32; shift += 8)
      bytes += static_cast<char>(number >> shift & 0xFFU);
  };
  for (const TrainingExample& example : examples) {
    add(static_cast<std::uint32_t>(example.tokens.size()));
    for (const auto token : example.tokens) add(static_cast<std::uint32_t>(token));
    for (const auto target : example.targets) add(static_cast<std::uint32_t>(target));
    for (const float weight : example.weights) add(weight > 0 ? 1 : 0);
  }
  digest.update(bytes);
  return digest.finish().text();
}

std::vector<std::size_t> GenerationCertificate::shortest(std::uint64_t tokens) const {
  std::vector<std::size_t> places(rows.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  std::stable_sort(places.begin(), places.end(),
                   [&](std::size_t a, std::size_t b) { return rows[a].length < rows[b].length; });
  std::size_t count = 0;
  for (std::uint64_t taken = 0; count < places.size(); ++count) {
    taken += rows[places[count]].length;
    if (count > 0 && taken > tokens) break;
  }
  places.resize(count);
  return places;
}

std::string to_text(const GenerationCertificate& certificate) {
  Json rows = Json::array();
  for (const GenerationCertificate::Row& row : certificate.rows)
    rows.push_back({{"row", row.row},
                    {"tokens", row.tokens},
                    {"length", row.length},
                    {"log_probability", std::round(row.log_probability * 1e6) / 1e6}});
  const Json json{
      {"format", kFormat}, {"tolerance", certificate.tolerance}, {"rows", std::move(rows)}};
  return json.dump() + "\n";
}

GenerationCertificate parse_generation_certificate(std::string_view text, const std::string& name) {
  const Json json = base::parse_json<Json>(text, name, {.bytes = std::size_t{256} << 20});
  if (value(json, "format", name) != kFormat)
    throw Error(Fault::unsupported, fmt::format("{}: it is not of the format '{}'", name, kFormat));
  GenerationCertificate certificate;
  certificate.tolerance = number(json, "tolerance", 0, kMostTolerance, name);
  const Json& rows = value(json, "rows", name);
  if (!rows.is_array()) refuse(name, "'rows' is no list");
  for (const Json& entry : rows) {
    GenerationCertificate::Row& row = certificate.rows.emplace_back();
    row.row = value(entry, "row", name);
    const Json& tokens = value(entry, "tokens", name);
    if (!tokens.is_string()) refuse(name, "'tokens' is no text");
    row.tokens = tokens.get<std::string>();
    row.length = static_cast<std::uint64_t>(number(entry, "length", 1, 1e9, name));
    row.log_probability = number(entry, "log_probability", -1e4, 0, name);
    example_of(row.row, name);
  }
  return certificate;
}

std::string difference(const GenerationCertificate& certificate,
                       std::span<const std::size_t> places, const GenerationForm& form,
                       const ExampleScore& score, const std::string& name) {
  for (const std::size_t place : places) {
    const GenerationCertificate::Row& row = certificate.rows[place];
    const auto examples = examples_of(row.row, form, name);
    if (examples_digest(examples) != row.tokens || length_of(examples) != row.length)
      return fmt::format("row {} is read as other tokens than it was", place + 1);
    double sum = 0;
    for (const TrainingExample& example : examples) sum += score(example);
    const double found = sum / weight_of(examples);
    // Written so that what is no number differs too.
    if (std::abs(found - row.log_probability) <= certificate.tolerance) continue;
    return fmt::format(
        "row {} has a log-probability of {:.4f} a token, and {:.4f} was certified (within {})",
        place + 1, found, row.log_probability, certificate.tolerance);
  }
  return "";
}

}  // namespace malina::tune
