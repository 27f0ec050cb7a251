#include "govern/key_rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace malina::govern {

namespace {

using base::Error;
using base::Fault;
using std::chrono::seconds;

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_inner(char c) { return is_word(c) || c == '.' || c == '_' || c == '-'; }

[[noreturn]] void refuse(const std::string& message) {
  throw Error(Fault::invalid_argument, message);
}

void check_title(std::string_view title) {
  constexpr std::size_t kLongest = 128;
  if (title.empty()) refuse("a key needs a name");
  if (title.size() > kLongest)
    refuse(fmt::format("the key's name has {} bytes; {} are allowed", title.size(), kLongest));
  if (std::any_of(title.begin(), title.end(),
                  [](unsigned char c) { return c < 0x20 || c == 0x7F; }))
    refuse("the key's name holds a control character");
}

void check_tenant(std::string_view tenant) {
  constexpr std::size_t kLongest = 64;
  if (tenant.empty() || tenant.size() > kLongest || !is_word(tenant.front()) ||
      !std::all_of(tenant.begin(), tenant.end(), is_inner))
    refuse(
        fmt::format("the tenant '{}' is not 1 to {} of a-z, 0-9, '.', '_' and '-', beginning "
                    "with a letter or a digit",
                    tenant.substr(0, kLongest), kLongest));
}

void check_model(std::string_view pattern) {
  constexpr std::size_t kLongest = 128;
  const auto fits = [](char c) { return is_inner(c) || c == ':' || c == '/' || c == '*'; };
  if (pattern.empty() || pattern.size() > kLongest ||
      !std::all_of(pattern.begin(), pattern.end(), fits))
    refuse(fmt::format(
        "'{}' is no name of a model, an alias or an upstream (upstream/NAME), in which * may "
        "stand for any text",
        pattern.substr(0, kLongest)));
}

void check_limit(std::string_view what, std::int64_t limit) {
  constexpr std::int64_t kMost = 1'000'000'000;
  if (limit < 0 || limit > kMost)
    refuse(fmt::format("{} is from 1 to {}, or 0 for no limit, and not {}", what, kMost, limit));
}

void check_seconds(std::string_view what, seconds given, seconds least, seconds most) {
  if (given < least || given > most)
    refuse(fmt::format("{} is from {} to {} seconds, and not {}", what, least.count(), most.count(),
                       given.count()));
}

}  // namespace

void check_new_key(const NewKey& key) {
  constexpr std::size_t kMostModels = 100;
  check_title(key.name);
  check_tenant(key.tenant);
  if (key.permissions.empty()) refuse("a key without a permission opens nothing");
  if (key.models.size() > kMostModels)
    refuse(fmt::format("a key names {} models at most", kMostModels));
  for (const std::string& model : key.models) check_model(model);
  check_limit("requests per minute", key.limits.requests_per_minute);
  check_limit("tokens per minute", key.limits.tokens_per_minute);
  check_limit("concurrent streams", key.limits.concurrent_streams);
  check_seconds("the longest request", key.limits.longest_request, seconds(1),
                std::chrono::hours(24));
  check_seconds("a key's lifetime", key.lifetime, seconds(1), kLongestKeyLifetime);
}

void check_overlap(seconds overlap) {
  check_seconds("the overlap of two secrets", overlap, seconds(0), kLongestOverlap);
}

Error no_such_key(std::string_view id) {
  constexpr std::size_t kShown = 64;
  id = id.substr(0, id.find('.'));  // a whole key may have been given: its secret is not repeated
  return Error(Fault::not_found, fmt::format("there is no key '{}'; 'malina key list' shows those "
                                             "there are",
                                             id.substr(0, kShown)));
}

}  // namespace malina::govern
