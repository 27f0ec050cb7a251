#include "govern/principal.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/near_match.h"

namespace malina::govern {

namespace {

constexpr std::array<std::string_view, kPermissions> kNames{"infer", "train", "evaluate", "approve",
                                                            "audit", "admin", "upstream"};

Permission permission_of(std::string_view word) {
  const auto found = std::find(kNames.begin(), kNames.end(), word);
  if (found != kNames.end()) return static_cast<Permission>(found - kNames.begin());
  const std::vector<std::string> known(kNames.begin(), kNames.end());
  const std::string near = base::did_you_mean(word, known);
  throw base::Error(base::Fault::invalid_argument,
                    "'" + std::string(word) + "' is no permission" +
                        (near.empty() ? "; there are infer, train, evaluate, approve, audit, admin "
                                        "and upstream"
                                      : near));
}

}  // namespace

std::string_view name(Permission permission) {
  return kNames.at(static_cast<std::size_t>(permission));
}

PermissionSet PermissionSet::all() {
  PermissionSet set;
  for (std::size_t i = 0; i < kPermissions; ++i) set.insert(static_cast<Permission>(i));
  return set;
}

PermissionSet PermissionSet::parse(std::string_view text) {
  PermissionSet set;
  for (;;) {
    const std::size_t comma = text.find(',');
    set.insert(permission_of(text.substr(0, comma)));
    if (comma == std::string_view::npos) return set;
    text.remove_prefix(comma + 1);
  }
}

PermissionSet PermissionSet::all_but_upstream() {
  PermissionSet set = all();
  set.bits_ &= ~bit(Permission::upstream);
  return set;
}

std::vector<Permission> PermissionSet::list() const {
  std::vector<Permission> permissions;
  for (std::size_t i = 0; i < kPermissions; ++i)
    if (contains(static_cast<Permission>(i))) permissions.push_back(static_cast<Permission>(i));
  return permissions;
}

std::string PermissionSet::text() const {
  std::string text;
  for (const Permission each : list()) text += (text.empty() ? "" : ",") + std::string(name(each));
  return text;
}

bool Principal::may_use(std::string_view model) const {
  return models.empty() || std::any_of(models.begin(), models.end(), [&](const std::string& each) {
           return glob_matches(each, model);
         });
}

// Where a star's text turns out too short it grows by one: only the last star ever needs to.
bool glob_matches(std::string_view pattern, std::string_view text) {
  std::size_t at = 0, star = std::string_view::npos, star_text = 0, i = 0;
  while (i < text.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      star_text = i;
    } else if (at < pattern.size() && pattern[at] == text[i]) {
      ++at;
      ++i;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      i = ++star_text;
    } else {
      return false;
    }
  }
  while (at < pattern.size() && pattern[at] == '*') ++at;
  return at == pattern.size();
}

}  // namespace malina::govern
