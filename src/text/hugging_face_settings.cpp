#include "text/hugging_face_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "format/json_reader.h"
#include "format/quote.h"

namespace malina::text {
namespace {

using base::Error;
using base::Fault;
using format::in_quotes;
using nlohmann::json;

constexpr format::JsonLimits kLimits{
    .bytes = std::size_t{64} << 20, .values = std::size_t{1} << 21, .depth = 64};

// One JSON file. What is missing or null gives nothing; what has another type is an error.
class Fields {
 public:
  explicit Fields(const HuggingFaceFiles::File& file) : name_(file.name) {
    document_ = format::parse_json(file.text, file.name, kLimits);
    if (!document_.is_object()) throw Error(Fault::corrupt_file, name_ + ": it is not an object");
  }

  const json& document() const { return document_; }
  const std::string& name() const { return name_; }

  const json* find(std::string_view key) const { return find(document_, key); }
  static const json* find(const json& object, std::string_view key) {
    const auto found = object.find(key);
    return found == object.end() || found->is_null() ? nullptr : &*found;
  }
  std::optional<bool> boolean(std::string_view key) const {
    const json* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_boolean()) corrupt(fmt::format("{} is neither true nor false", key));
    return value->get<bool>();
  }
  // A token is its text, or an object with the text as its content.
  std::optional<std::string> token(std::string_view key) const {
    const json* value = find(key);
    if (value != nullptr && value->is_object()) value = find(*value, "content");
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) corrupt(fmt::format("{} is not the text of a token", key));
    return value->get<std::string>();
  }
  std::uint64_t id(const json& value, std::string_view key) const {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() >= kMostTokens)
      corrupt(fmt::format("{} is not the id of a token", key));
    return value.get<std::uint64_t>();
  }

  [[noreturn]] void corrupt(std::string_view cause) const {
    throw Error(Fault::corrupt_file, fmt::format("{}: {}", name_, cause));
  }

 private:
  std::string name_;
  json document_;
};

class SettingsReader {
 public:
  explicit SettingsReader(const HuggingFaceFiles& files) : files_(files) {}

  TokenizerSettings read() {
    if (files_.tokenizer_config) tokenizer_config(Fields(*files_.tokenizer_config));
    if (files_.special_tokens_map) special_tokens_map(Fields(*files_.special_tokens_map));
    if (files_.added_tokens) added_tokens(Fields(*files_.added_tokens));
    if (files_.config) config(Fields(*files_.config));
    if (files_.generation_config) end_ids(Fields(*files_.generation_config));
    templates();
    std::sort(result_.end_ids.begin(), result_.end_ids.end());
    result_.end_ids.erase(std::unique(result_.end_ids.begin(), result_.end_ids.end()),
                          result_.end_ids.end());
    return std::move(result_);
  }

 private:
  void tokenizer_config(const Fields& fields) {
    for (const SpecialRole& role : kSpecialRoles)
      if (auto text = fields.token(fmt::format("{}_token", role.name)))
        result_.specials.emplace(role.name, std::move(*text));
    more_specials(fields);
    result_.add_bos = fields.boolean("add_bos_token");
    result_.add_eos = fields.boolean("add_eos_token");
    result_.space_prefix = fields.boolean("add_prefix_space");
    result_.legacy = fields.boolean("legacy");
    if (const json* decoder = fields.find("added_tokens_decoder")) added_decoder(fields, *decoder);
    if (const json* given = fields.find("chat_template")) config_templates(fields, *given);
  }

  void more_specials(const Fields& fields) {
    const json* list = fields.find("additional_special_tokens");
    if (list == nullptr) return;
    if (!list->is_array()) fields.corrupt("additional_special_tokens is not an array");
    for (const json& each : *list) {
      const json* text = each.is_object() ? Fields::find(each, "content") : &each;
      if (text == nullptr || !text->is_string())
        fields.corrupt("additional_special_tokens has an entry that is no text");
      result_.more_specials.push_back(text->get<std::string>());
    }
  }

  void added_decoder(const Fields& fields, const json& decoder) {
    decoded_ = true;
    if (!decoder.is_object()) fields.corrupt("added_tokens_decoder is not an object");
    for (const auto& [key, value] : decoder.items()) {
      const std::string where =
          fmt::format("{}: added_tokens_decoder: entry {}", fields.name(), in_quotes(key));
      AddedToken token = read_added_token(value, where);
      const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token.id);
      if (error != std::errc() || end != key.data() + key.size() || token.id >= kMostTokens)
        throw Error(Fault::corrupt_file, where + " is not the id of a token");
      result_.added.push_back(std::move(token));
    }
    std::sort(result_.added.begin(), result_.added.end(),
              [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
    for (std::size_t i = 1; i < result_.added.size(); ++i)
      if (result_.added[i].id == result_.added[i - 1].id)
        fields.corrupt(
            fmt::format("added_tokens_decoder has the id {} twice", result_.added[i].id));
  }

  // Older directories have their special tokens there; newer ones repeat them.
  void special_tokens_map(const Fields& fields) {
    for (const SpecialRole& role : kSpecialRoles) {
      auto text = fields.token(fmt::format("{}_token", role.name));
      if (!text) continue;
      const auto [place, added] = result_.specials.emplace(role.name, *text);
      if (added || place->second == *text) continue;
      result_.warnings.push_back(fmt::format(
          "{}: {}_token is {}, in tokenizer_config.json {}: the {} is used", fields.name(),
          role.name, in_quotes(*text), in_quotes(place->second), decoded_ ? "latter" : "former"));
      if (!decoded_) place->second = std::move(*text);
    }
    more_specials(fields);
  }

  void added_tokens(const Fields& fields) {
    for (const auto& [text, id] : fields.document().items())
      result_.old_added.push_back({.content = text, .id = fields.id(id, in_quotes(text))});
  }

  void config(const Fields& fields) {
    const json* inner = fields.find("text_config");
    const auto find = [&](std::string_view key) {
      const json* value = fields.find(key);
      return value == nullptr && inner != nullptr && inner->is_object() ? Fields::find(*inner, key)
                                                                        : value;
    };
    if (const json* size = find("vocab_size")) {
      if (!size->is_number_unsigned() || *size == 0 || size->get<std::uint64_t>() > kMostTokens)
        fields.corrupt("vocab_size is not a number of tokens that malina reads");
      result_.vocabulary_size = size->get<std::uint64_t>();
    }
    for (const SpecialRole& role : kSpecialRoles) {
      const std::string key = fmt::format("{}_token_id", role.name);
      const json* value = find(key);
      if (value != nullptr && value->is_array()) value = value->empty() ? nullptr : &value->front();
      // -1 stands for no token in some files.
      if (value == nullptr || (value->is_number_integer() && *value < 0)) continue;
      result_.config_ids.emplace(role.name, fields.id(*value, key));
    }
    if (const json* ends = find("eos_token_id")) add_end_ids(fields, *ends);
  }

  void end_ids(const Fields& fields) {
    if (const json* ends = fields.find("eos_token_id")) add_end_ids(fields, *ends);
  }
  void add_end_ids(const Fields& fields, const json& ends) {
    const auto add = [&](const json& id) {
      if (id.is_number_integer() && id < 0) return;
      result_.end_ids.push_back(fields.id(id, "eos_token_id"));
    };
    if (!ends.is_array()) return add(ends);
    for (const json& id : ends) add(id);
  }

  void set_template(std::string name, std::string text, const std::string& file) {
    for (auto& [known, present] : result_.templates) {
      if (known != name) continue;
      if (present != text)
        result_.warnings.push_back(
            fmt::format("{} has another chat template {} than "
                        "tokenizer_config.json: it is used",
                        file, in_quotes(name)));
      present = std::move(text);
      return;
    }
    result_.templates.emplace_back(std::move(name), std::move(text));
  }

  void config_templates(const Fields& fields, const json& given) {
    if (given.is_string()) return set_template("default", given.get<std::string>(), fields.name());
    if (!given.is_array())
      fields.corrupt("chat_template is neither a text nor a list of templates");
    for (const json& each : given) {
      const json* name = each.is_object() ? Fields::find(each, "name") : nullptr;
      const json* text = each.is_object() ? Fields::find(each, "template") : nullptr;
      if (name == nullptr || !name->is_string() || text == nullptr || !text->is_string())
        fields.corrupt("chat_template has an entry without name or template");
      for (const auto& known : result_.templates)
        if (known.first == name->get_ref<const std::string&>())
          fields.corrupt(fmt::format("chat_template has two templates {}", in_quotes(known.first)));
      set_template(name->get<std::string>(), text->get<std::string>(), fields.name());
    }
  }

  // Files of their own go before tokenizer_config.json, as in Transformers.
  void templates() {
    if (files_.chat_template) {
      set_template("default", files_.chat_template->text, files_.chat_template->name);
    } else if (files_.chat_template_json) {
      const Fields fields(*files_.chat_template_json);
      if (const json* given = fields.find("chat_template")) {
        if (!given->is_string()) fields.corrupt("chat_template is not a text");
        set_template("default", given->get<std::string>(), fields.name());
      }
    }
    for (const auto& [name, file] : files_.more_templates) set_template(name, file.text, file.name);
  }

  const HuggingFaceFiles& files_;
  TokenizerSettings result_;
  bool decoded_ = false;
};

}  // namespace

TokenizerSettings read_settings(const HuggingFaceFiles& files) {
  return SettingsReader(files).read();
}

}  // namespace malina::text
