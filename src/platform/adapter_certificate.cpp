#include "platform/adapter_certificate.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "platform/classifier_certificate.h"
#include "platform/tuned_output.h"

namespace malina::platform {

using base::Error;
using base::Fault;
namespace fs = std::filesystem;

namespace {

// Every answer of a server that has just begun waits for it.
constexpr std::uint64_t kTokens = 512;

}  // namespace

nlohmann::ordered_json certificate_facts(const tune::GenerationCertificate& certificate,
                                         const std::string& text) {
  return {{"file", tune::kCertificateName},
          {"rows", certificate.rows.size()},
          {"tolerance", certificate.tolerance},
          {"digest", certificate_digest(text)}};
}

void AdapterCertificates::check(const fs::path& place, const tune::GenerationForm& form,
                                std::size_t context, const tune::ExampleScore& score) {
  const fs::path directory = fs::is_directory(place) ? place : place.parent_path();
  if (!fs::exists(directory / kAdapterManifestName)) return;
  const auto text = certified_text(directory, kAdapterManifestName);
  if (!text) return;
  std::string key = certificate_digest(*text);
  if (const fs::path weights = directory / "adapter_model.safetensors"; fs::exists(weights))
    key += base::digest_file(base::File::open(weights)).text();
  {
    const std::scoped_lock lock(mutex_);
    if (checked_.contains(key)) return;
  }
  const std::string name = (directory / tune::kCertificateName).string();
  const auto certificate = tune::parse_generation_certificate(*text, name);
  auto places = certificate.shortest(kTokens);
  std::erase_if(places, [&](std::size_t row) { return certificate.rows[row].length >= context; });
  const std::string found = tune::difference(certificate, places, form, score, name);
  if (!found.empty())
    throw Error(Fault::corrupt_file,
                fmt::format("{} does not write as it did when it was tuned, so it is not used: {}",
                            directory.string(), found));
  const std::scoped_lock lock(mutex_);
  checked_.insert(std::move(key));
}

}  // namespace malina::platform
