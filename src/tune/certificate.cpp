#include "tune/certificate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/digest.h"
#include "base/error.h"
#include "base/json_text.h"
#include "tune/classifier.h"
#include "tune/span_tagger.h"

namespace malina::tune {

using base::Error;
using base::Fault;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::string_view kFormat = "malina certificate 1";
constexpr double kMostTolerance = 0.5;

[[noreturn]] void refuse(const std::string& name, std::string_view what) {
  throw Error(Fault::corrupt_file, fmt::format("{}: {}", name, what));
}

const Json& member(const Json& json, const char* key, Json::value_t type, const std::string& name) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (found == json.end() || found->type() != type)
    refuse(name, fmt::format("'{}' is missing or has the wrong type", key));
  return *found;
}

double share(const Json& json, const char* what, const std::string& name) {
  const double value = json.is_number() ? json.get<double>() : -1;
  if (!(value >= 0 && value <= 1)) refuse(name, fmt::format("{} is not between 0 and 1", what));
  return value;
}

std::string difference_of(const Certificate::Example& example, std::size_t place, double tolerance,
                          const ClassifierAnswer& answer, std::span<const std::string> labels) {
  if (example.probabilities.size() != labels.size())
    return fmt::format("example {} is certified for {} labels, and there are {}", place + 1,
                       example.probabilities.size(), labels.size());
  for (std::size_t label = 0; label < labels.size(); ++label) {
    const double certified = example.probabilities[label], found = answer.probabilities[label];
    // Written so that what is no number differs too.
    if (std::abs(found - certified) <= tolerance) continue;
    return fmt::format(
        "example {} answers '{}' with probability {:.4f}, and {:.4f} was certified (within {})",
        place + 1, labels[label], found, certified, tolerance);
  }
  return "";
}

bool is_near(double found, double certified, double tolerance) {
  return std::abs(found - certified) <= tolerance;  // what is no number is not
}

std::string difference_of(const Certificate::Example& example, std::size_t place, double tolerance,
                          const SpanAnswer& answer, std::span<const std::string> types) {
  if (example.probabilities.size() != example.spans.size() + 1)
    return fmt::format("example {} is not certified as a tagger's answer", place + 1);
  const double whole = example.probabilities.front();
  if (!is_near(answer.probability, whole, tolerance))
    return fmt::format(
        "example {} is answered with probability {:.4f}, and {:.4f} was certified (within {})",
        place + 1, answer.probability, whole, tolerance);
  if (whole <= 0.5 + tolerance) return "";
  bool same = answer.spans.size() == example.spans.size();
  for (std::size_t i = 0; same && i < answer.spans.size(); ++i) {
    const FoundSpan& found = answer.spans[i];
    same = Certificate::Span{found.begin, found.end, types[found.type]} == example.spans[i] &&
           is_near(found.probability, example.probabilities[i + 1], tolerance);
  }
  return same ? "" : fmt::format("example {} has other spans than were certified", place + 1);
}

// The texts at these places, as `tokens` reads each; or what is read otherwise.
template <class Tokens>
std::string read_texts(const Certificate& certificate, std::span<const std::size_t> places,
                       const Tokens& tokens, std::vector<std::string>& texts) {
  for (const std::size_t place : places) {
    const Certificate::Example& example = certificate.examples[place];
    const std::vector<std::int32_t> read = tokens(example.text);
    if ((read.empty() ? "" : tokens_digest(read)) != example.tokens)
      return fmt::format("example {} is read as other tokens than it was", place + 1);
    texts.push_back(example.text);
  }
  return "";
}

Json json_of(const std::vector<Certificate::Span>& spans) {
  Json json = Json::array();
  for (const Certificate::Span& span : spans)
    json.push_back({{"start", span.begin}, {"end", span.end}, {"type", span.type}});
  return json;
}

std::size_t offset(const Json& json, const char* key, const std::string& text,
                   const std::string& name) {
  const auto value = member(json, key, Json::value_t::number_unsigned, name).get<std::uint64_t>();
  if (value > text.size()) refuse(name, fmt::format("'{}' of a span is beyond its text", key));
  return value;
}

}  // namespace

std::vector<std::size_t> Certificate::shortest(std::size_t most) const {
  std::vector<std::size_t> places(examples.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  std::stable_sort(places.begin(), places.end(), [&](std::size_t a, std::size_t b) {
    return examples[a].text.size() < examples[b].text.size();
  });
  places.resize(std::min(most, places.size()));
  return places;
}

std::string tokens_digest(std::span<const std::int32_t> tokens) {
  std::string bytes;
  for (const std::int32_t token : tokens)
    for (unsigned shift = 0; shift < 32; shift += 8)
      bytes += static_cast<char>(static_cast<std::uint32_t>(token) >> shift & 0xFFU);
  base::Sha256 digest;
  digest.update(bytes);
  return digest.finish().text();
}

std::string to_text(const Certificate& certificate) {
  Json examples = Json::array();
  for (const Certificate::Example& example : certificate.examples) {
    Json probabilities = Json::array();
    for (const double probability : example.probabilities)
      probabilities.push_back(std::round(probability * 1e6) / 1e6);
    Json& entry = examples.emplace_back(Json{{"text", example.text},
                                             {"tokens", example.tokens},
                                             {"probabilities", std::move(probabilities)}});
    if (!example.spans.empty()) entry["spans"] = json_of(example.spans);
  }
  const Json json{
      {"format", kFormat}, {"tolerance", certificate.tolerance}, {"examples", std::move(examples)}};
  return json.dump() + "\n";
}

Certificate parse_certificate(std::string_view text, const std::string& name) {
  const Json json = base::parse_json<Json>(text, name, {.bytes = std::size_t{256} << 20});
  if (member(json, "format", Json::value_t::string, name) != kFormat)
    throw Error(Fault::unsupported, fmt::format("{}: it is not of the format '{}'", name, kFormat));
  Certificate certificate;
  certificate.tolerance =
      share(member(json, "tolerance", Json::value_t::number_float, name), "the tolerance", name);
  if (certificate.tolerance > kMostTolerance) refuse(name, "the tolerance allows anything");
  for (const Json& entry : member(json, "examples", Json::value_t::array, name)) {
    Certificate::Example& example = certificate.examples.emplace_back();
    example.text = member(entry, "text", Json::value_t::string, name);
    example.tokens = member(entry, "tokens", Json::value_t::string, name);
    for (const Json& value : member(entry, "probabilities", Json::value_t::array, name))
      example.probabilities.push_back(share(value, "a probability", name));
    if (!entry.contains("spans")) continue;
    for (const Json& span : member(entry, "spans", Json::value_t::array, name))
      example.spans.push_back({.begin = offset(span, "start", example.text, name),
                               .end = offset(span, "end", example.text, name),
                               .type = member(span, "type", Json::value_t::string, name)});
  }
  return certificate;
}

std::string difference(const Certificate& certificate, std::span<const std::size_t> places,
                       Classifier& classifier) {
  std::vector<std::string> texts;
  const auto tokens = [&](const std::string& text) { return classifier.tokens(text); };
  if (const std::string found = read_texts(certificate, places, tokens, texts); !found.empty())
    return found;
  const auto answers = classifier.answer(texts);
  for (std::size_t i = 0; i < places.size(); ++i) {
    std::string found =
        difference_of(certificate.examples[places[i]], places[i], certificate.tolerance, answers[i],
                      classifier.manifest().labels);
    if (!found.empty()) return found;
  }
  return "";
}

std::string difference(const Certificate& certificate, std::span<const std::size_t> places,
                       SpanTagger& tagger) {
  std::vector<std::string> texts;
  const auto tokens = [&](const std::string& text) { return tagger.tokens(text); };
  if (const std::string found = read_texts(certificate, places, tokens, texts); !found.empty())
    return found;
  const auto answers = tagger.sequences(texts);
  for (std::size_t i = 0; i < places.size(); ++i) {
    std::string found = difference_of(certificate.examples[places[i]], places[i],
                                      certificate.tolerance, answers[i], tagger.manifest().types);
    if (!found.empty()) return found;
  }
  return "";
}

}  // namespace malina::tune
