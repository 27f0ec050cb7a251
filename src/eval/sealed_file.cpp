#include "eval/sealed_file.h"

#include <fmt/format.h>

#include <cstring>

#include "base/digest.h"
#include "base/error.h"

namespace malina::eval {

namespace {

base::Digest digest_of(std::string_view content) {
  base::Sha256 digest;
  digest.update(content);
  return digest.finish();
}

}  // namespace

std::string with_digest(std::string content) {
  const base::Digest sum = digest_of(content);
  content.append(reinterpret_cast<const char*>(sum.bytes().data()), sum.bytes().size());
  return content;
}

std::string_view checked_content(std::string_view bytes, std::string_view magic,
                                 std::string_view kind, const std::string& name) {
  const auto corrupt = [&](std::string_view cause) {
    return base::Error(base::Fault::corrupt_file, fmt::format("{}: {}", name, cause));
  };
  if (!bytes.starts_with(magic)) throw corrupt(fmt::format("this is not {}", kind));
  if (bytes.size() < magic.size() + base::Digest::kBytes) throw corrupt("the file is cut short");
  const std::string_view content = bytes.substr(0, bytes.size() - base::Digest::kBytes);
  const std::string_view stored = bytes.substr(content.size());
  if (std::memcmp(digest_of(content).bytes().data(), stored.data(), stored.size()) != 0)
    throw corrupt("its digest is not that of its content: it was cut short or changed");
  return content;
}

}  // namespace malina::eval
