#include "platform/classifier_certificate.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

#include "base/atomic_file.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json_text.h"
#include "base/text_file.h"
#include "math/isa.h"

namespace malina::platform {

using base::Error;
using base::Fault;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t kEachTime = 3;  // examples

// What the manifest says of it; nullopt where it says nothing.
std::optional<std::string> named_digest(const fs::path& manifest) {
  const Json json = base::parse_json<Json>(base::read_text(manifest), manifest.string(),
                                           {.bytes = std::size_t{64} << 20});
  const auto found = json.is_object() ? json.find("certificate") : json.end();
  if (found == json.end() || found->is_null()) return std::nullopt;
  const auto digest = found->is_object() ? found->find("digest") : found->end();
  if (!found->is_object() || digest == found->end() || !digest->is_string())
    throw Error(Fault::corrupt_file,
                fmt::format("{}: 'certificate' has no digest", manifest.string()));
  return digest->get<std::string>();
}

// Of all that decides what comes out; the base is in the manifest by its digest.
std::string state_of(const fs::path& directory) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::string text =
      fmt::format("malina {} {}\n", MALINA_VERSION, math::name(math::selected_isa()));
  for (const fs::path& file : files)
    text += fmt::format("{} {}\n", file.filename().string(),
                        base::digest_file(base::File::open(file)).text());
  base::Sha256 digest;
  digest.update(text);
  return digest.finish().hex();
}

// Only saves work, so that a failure is none.
void remember(const fs::path& remembered, const std::string& state) {
  std::error_code error;
  fs::create_directories(remembered, error);
  if (error) return;
  try {
    base::AtomicFile(remembered / state).commit();
  } catch (const Error&) {
  }
}

}  // namespace

std::string certificate_digest(std::string_view text) {
  base::Sha256 digest;
  digest.update(text);
  return digest.finish().text();
}

Json certificate_facts(const tune::Certificate& certificate, const std::string& text) {
  return {{"file", tune::kCertificateName},
          {"examples", certificate.examples.size()},
          {"tolerance", certificate.tolerance},
          {"digest", certificate_digest(text)}};
}

std::optional<std::string> certified_text(const fs::path& directory, std::string_view manifest) {
  const auto digest = named_digest(directory / manifest);
  if (!digest) return std::nullopt;
  const fs::path file = directory / tune::kCertificateName;
  if (!fs::exists(file))
    throw Error(Fault::corrupt_file,
                fmt::format("{} is missing, which the manifest beside it names", file.string()));
  const std::string text = base::read_text(file);
  if (certificate_digest(text) != *digest)
    throw Error(Fault::corrupt_file,
                fmt::format("{} is not the one that the manifest beside it names", file.string()));
  return text;
}

namespace {

template <class Tuned>
void check(const fs::path& directory, std::string_view manifest, Tuned& tuned,
           const fs::path& remembered) {
  const auto text = certified_text(directory, manifest);
  if (!text) return;
  const tune::Certificate certificate =
      tune::parse_certificate(*text, (directory / tune::kCertificateName).string());
  const std::string state = state_of(directory);
  std::error_code ignored;
  const bool known = fs::exists(remembered / state, ignored);
  const auto places = certificate.shortest(known ? kEachTime : certificate.examples.size());
  const std::string found = tune::difference(certificate, places, tuned);
  if (!found.empty())
    throw Error(Fault::corrupt_file,
                fmt::format("{} does not answer as it did when it was tuned, so it is not used: {}",
                            directory.string(), found));
  if (!known) remember(remembered, state);
}

}  // namespace

void check_certificate(const fs::path& directory, tune::Classifier& classifier,
                       const fs::path& remembered) {
  check(directory, tune::kManifestName, classifier, remembered);
}

void check_certificate(const fs::path& directory, tune::SpanTagger& tagger,
                       const fs::path& remembered) {
  check(directory, tune::kSpanManifestName, tagger, remembered);
}

}  // namespace malina::platform
