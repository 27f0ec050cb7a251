// A file that may take several runs to write: "OUTPUT.part" until it is whole, and beside it, in
// "OUTPUT.part.json", what it is of.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "base/file.h"

namespace malina::platform {

// One owner; of all processes one at a time. Throws base::Error(io) and what std::filesystem does.
class ResumableFile {
 public:
  struct Options {
    bool overwrite = false;     // an output that is there already
    bool start_again = false;   // what an earlier run has left is thrown away
    bool may_continue = false;  // otherwise likewise, without being asked
  };
  // `description`: an object whose every member decides the bytes. Throws already_exists where the
  // output is there, another process writes it, or what an earlier run has left is of another
  // description (says which member), and what parse_json() throws of a broken one.
  ResumableFile(std::filesystem::path output, const nlohmann::ordered_json& description,
                const Options& options);

  // An earlier run has left a part of the same description: file() has it, and keep() is next.
  bool continues() const { return continues_; }
  const base::File& file() const { return *file_; }
  void keep(std::uint64_t bytes);  // of what is there; the rest is cut off
  std::filesystem::path part() const { return output_.string() + ".part"; }

  void write(std::string_view text);  // at the end; synced every ten seconds
  void complete();                    // it is whole: bears its name, and survives a power loss

 private:
  std::filesystem::path description_file() const { return output_.string() + ".part.json"; }
  void check_same(const nlohmann::ordered_json& description) const;

  const std::filesystem::path output_;
  std::optional<base::File> file_;
  bool continues_ = false;
  std::chrono::steady_clock::time_point synced_ = std::chrono::steady_clock::now();
};

}  // namespace malina::platform
