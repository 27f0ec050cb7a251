#include "decide/question_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/near_match.h"
#include "base/quote.h"
#include "text/unicode.h"

namespace malina::decide {

base::Error refusal(const std::string& path, std::string_view what) {
  return base::Error(
      base::Fault::invalid_argument,
      path.empty() ? fmt::format("the question {}", what) : fmt::format("{}: {}", path, what),
      {.parameter = path});
}

namespace {

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = text::valid_character(text.substr(at));
    if (length == 0) return false;
    at += length;
  }
  return true;
}

}  // namespace

void check_size(std::string_view text, std::size_t most_bytes, const std::string& path) {
  if (text.size() > most_bytes)
    throw refusal(path, fmt::format("has {} bytes, more than {}", text.size(), most_bytes));
  if (!is_utf8(text)) throw refusal(path, "is not valid UTF-8");
}

void check_label(std::string_view label, std::size_t most_bytes, const std::string& path) {
  if (label.empty()) throw refusal(path, "is empty");
  check_size(label, most_bytes, path);
  if (label.find_first_of("\r\n") != label.npos)
    throw refusal(path, "has more than one line: a label is what a model answers");
  constexpr std::string_view kSpace = " \t";
  if (kSpace.find(label.front()) != kSpace.npos || kSpace.find(label.back()) != kSpace.npos)
    throw refusal(path, fmt::format("{} begins or ends with white space", base::in_quotes(label)));
}

void check_options(const std::vector<Option>& options, const std::string& path, std::size_t most) {
  if (options.size() < 2)
    throw refusal(path, fmt::format("needs at least 2 entries and has {}", options.size()));
  if (options.size() > most)
    throw refusal(path, fmt::format("has {} entries, more than {}", options.size(), most));
  std::set<std::string_view> labels;
  for (std::size_t i = 0; i < options.size(); ++i)
    if (!labels.insert(options[i].label).second)
      throw refusal(fmt::format("{}[{}]", path, i), fmt::format("the label {} stands there twice",
                                                                base::in_quotes(options[i].label)));
}

std::string text_of_parts(const Json& json, const std::string& path) {
  if (json.is_string()) return json.get<std::string>();
  if (!json.is_array()) throw refusal(path, "must be a text or a list of parts");
  std::string text;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const std::string where = fmt::format("{}[{}]", path, i);
    if (!json[i].is_object()) throw refusal(where, "must be an object");
    const auto found = json[i].find("type");
    if (found != json[i].end() && !found->is_string())
      throw refusal(where + ".type", "must be a text");
    const std::string type = found == json[i].end() ? "" : found->get<std::string>();
    if (type == "input_image") throw refusal(where, "is an image, and models here read text alone");
    if (!text.empty()) text += '\n';
    if (type == "input_json") {
      const Fields fields(json[i], where, {"type", "data"});
      text += fields.required("data").dump(-1, ' ', false, Json::error_handler_t::replace);
      continue;
    }
    const Fields fields(json[i], where, {"type", "text", "prompt_cache_breakpoint"});
    const Json& part = fields.required("text");
    if (!part.is_string()) throw refusal(fields.path("text"), "must be a text");
    text += part.get<std::string>();
  }
  return text;
}

Fields::Fields(const Json& json, std::string path, const std::vector<std::string>& known)
    : json_(json), path_(std::move(path)) {
  if (!json.is_object()) throw refusal(path_, "must be an object");
  for (const auto& [key, value] : json.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw refusal(
          path_.empty() ? std::string() : path_,
          fmt::format("has no member {}{}", base::in_quotes(key), base::did_you_mean(key, known)));
}

std::string Fields::path(std::string_view member) const {
  return path_.empty() ? std::string(member) : fmt::format("{}.{}", path_, member);
}

const Json* Fields::find(std::string_view member) const {
  const auto found = json_.find(member);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

const Json& Fields::required(std::string_view member) const {
  const Json* found = find(member);
  if (found == nullptr) throw refusal(path(member), "is missing");
  return *found;
}

std::string Fields::text(std::string_view member, std::size_t most_bytes) const {
  const Json* found = find(member);
  if (found == nullptr) return {};
  if (!found->is_string()) throw refusal(path(member), "must be a text");
  check_size(found->get_ref<const std::string&>(), most_bytes, path(member));
  return found->get<std::string>();
}

std::string Fields::word(std::string_view member, const std::vector<std::string>& words) const {
  const Json& found = required(member);
  if (found.is_string() &&
      std::find(words.begin(), words.end(), found.get_ref<const std::string&>()) != words.end())
    return found.get<std::string>();
  const std::string typed = found.is_string() ? found.get<std::string>() : found.dump();
  throw refusal(path(member),
                fmt::format("must be one of {}, not {}{}", fmt::join(words, ", "),
                            base::in_quotes(typed), base::did_you_mean(typed, words)));
}

bool Fields::flag(std::string_view member) const {
  const Json* found = find(member);
  if (found == nullptr) return false;
  if (!found->is_boolean()) throw refusal(path(member), "must be true or false");
  return found->get<bool>();
}

std::optional<double> Fields::number(std::string_view member, double least, double most) const {
  const Json* found = find(member);
  if (found == nullptr) return std::nullopt;
  if (!found->is_number() || !(found->get<double>() >= least && found->get<double>() <= most))
    throw refusal(path(member), fmt::format("must be a number from {} to {}", least, most));
  return found->get<double>();
}

void Fields::only_for(std::string_view member, bool allowed, std::string_view what) const {
  if (!allowed && find(member) != nullptr)
    throw refusal(path(member), fmt::format("is for {} only", what));
}

}  // namespace malina::decide
