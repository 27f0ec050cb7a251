// The certificate of a classifier or a tagger (tune/certificate.h) as part of its directory, and
// its check when that is loaded.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "tune/certificate.h"
#include "tune/classifier.h"
#include "tune/span_tagger.h"

namespace malina::platform {

// What the manifest says of a certificate's text: its file, digest, and number of examples.
nlohmann::ordered_json certificate_facts(const tune::Certificate& certificate,
                                         const std::string& text);

// "sha256:..." of a certificate's text, as manifests have it.
std::string certificate_digest(std::string_view text);

// The text of the certificate that the directory's manifest names; nullopt where it names none.
// Throws base::Error(corrupt_file) where that is missing, or another.
std::optional<std::string> certified_text(const std::filesystem::path& directory,
                                          std::string_view manifest);

// Computes what the certificate of the directory holds, and throws base::Error(corrupt_file) naming
// the first example that comes out otherwise, or where the file is not what the manifest names. All
// of it the first time; then that is remembered, as an empty file in `remembered`, under a digest
// of all files of the directory, this program's version and its instruction set, and only the
// shortest three examples are computed again. What cannot be remembered is computed each time. A
// directory without a certificate, tuned before there were any, passes.
void check_certificate(const std::filesystem::path& directory, tune::Classifier& classifier,
                       const std::filesystem::path& remembered);
void check_certificate(const std::filesystem::path& directory, tune::SpanTagger& tagger,
                       const std::filesystem::path& remembered);

}  // namespace malina::platform
