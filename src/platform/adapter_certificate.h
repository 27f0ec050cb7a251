// The certificate of an adapter that writes (tune/generation_certificate.h) as part of its
// directory, and its check when the adapter is loaded.
#pragma once

#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "tune/generation_certificate.h"

namespace malina::platform {

// What the manifest says of a certificate's text: its file, digest, and number of rows.
nlohmann::ordered_json certificate_facts(const tune::GenerationCertificate& certificate,
                                         const std::string& text);

// Safe on many threads.
class AdapterCertificates {
 public:
  // Computes the shortest rows of the adapter's certificate that fit in `context` and in some
  // hundreds of tokens together, and throws base::Error(corrupt_file) naming the first that comes
  // out otherwise, or where the file is not what the manifest names. What was checked once is not
  // computed again. An adapter without a certificate, made elsewhere or before there were any,
  // passes. `place`: what read_adapter() takes.
  void check(const std::filesystem::path& place, const tune::GenerationForm& form,
             std::size_t context, const tune::ExampleScore& score);

 private:
  std::mutex mutex_;
  std::set<std::string> checked_;  // digests of certificate and weights
};

}  // namespace malina::platform
