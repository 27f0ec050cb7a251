// A file of ours that begins with its name and ends with the SHA-256 of all that stands before.
#pragma once

#include <string>
#include <string_view>

namespace malina::eval {

std::string with_digest(std::string content);

// What stands before the digest, which was checked; a view into `bytes`. `magic`: how it begins;
// `kind`: what it is, for errors ("a linear tagger"). Throws base::Error(corrupt_file), naming
// `name`.
std::string_view checked_content(std::string_view bytes, std::string_view magic,
                                 std::string_view kind, const std::string& name);

}  // namespace malina::eval
