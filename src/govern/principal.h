// Who asks, and what they may do. Plain values; every question here is a pure function.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace malina::govern {

using WallSeconds = std::chrono::time_point<std::chrono::system_clock, std::chrono::seconds>;

// None of them includes another: an administrator of keys may not read an audit for that.
// `upstream`: texts of this key may be sent to upstreams, off this machine.
enum class Permission : std::uint8_t { infer, train, evaluate, approve, audit, admin, upstream };
inline constexpr std::size_t kPermissions = 7;
std::string_view name(Permission permission);

class PermissionSet {
 public:
  PermissionSet() = default;
  PermissionSet(std::initializer_list<Permission> permissions) {
    for (const Permission each : permissions) insert(each);
  }
  static PermissionSet all();
  // What the first key has: sending texts off the machine is for somebody to say.
  static PermissionSet all_but_upstream();
  // "infer,train"; throws base::Error(invalid_argument) for what is no permission, and for none.
  static PermissionSet parse(std::string_view text);

  void insert(Permission permission) { bits_ |= bit(permission); }
  bool contains(Permission permission) const { return (bits_ & bit(permission)) != 0; }
  bool empty() const { return bits_ == 0; }
  std::vector<Permission> list() const;  // in the order of the enum
  std::string text() const;              // as parse() takes it
  bool operator==(const PermissionSet&) const = default;

 private:
  static unsigned bit(Permission permission) { return 1U << static_cast<unsigned>(permission); }
  unsigned bits_ = 0;
};

// 0: no limit. longest_request always limits.
struct Limits {
  std::int64_t requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;
  std::int64_t concurrent_streams = 0;
  std::chrono::seconds longest_request{600};
  bool operator==(const Limits&) const = default;
};

// The holder of a key.
struct Principal {
  std::string key_id = {};             // "mk_..."; not secret
  std::int64_t secret_generation = 0;  // which of the key's secrets was shown: 1, 2, ...
  std::string name = {};               // what its maker called it
  std::string tenant = {};             // keys of one tenant may share cached prompts
  PermissionSet permissions = {};
  std::vector<std::string> models = {};  // names, aliases, upstream/NAME; * is any text; empty: all
  Limits limits = {};
  WallSeconds expires_at{};

  bool may(Permission permission) const { return permissions.contains(permission); }
  // `model` as it was asked for: who may use an alias may not for that use its model by name.
  bool may_use(std::string_view model) const;
};

// Does `text` fit `pattern`, in which each * stands for any text, none too? In time
// O(pattern * text).
bool glob_matches(std::string_view pattern, std::string_view text);

// Who did something that is recorded: a key, or on the machine itself "local:" and the user's name.
struct Actor {
  std::string id;
  std::string tenant;
};

}  // namespace malina::govern
