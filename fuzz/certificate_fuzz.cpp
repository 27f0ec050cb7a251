// Any text as a certificate, of a classifier or a tagger and of an adapter that writes. Whatever is
// accepted is written in a way that reads back, and its rows can be read.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "finding.h"
#include "tune/certificate.h"
#include "tune/generation_certificate.h"

namespace {

using namespace malina;
using namespace malina::tune;

template <class Parse, class Check>
void read(std::string_view text, const Parse& parse, const Check& check) {
  fuzz::unless_refused([&] {
    const auto read = parse(text, "certificate.json");
    check(read);
    const std::string written = to_text(read);
    fuzz::require(to_text(parse(written, "certificate.json")) == written);
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read(text, parse_certificate, [](const Certificate& certificate) {
    for (const Certificate::Example& example : certificate.examples)
      for (const Certificate::Span& span : example.spans)
        fuzz::require(span.begin <= example.text.size() && span.end <= example.text.size());
    fuzz::require(certificate.shortest(3).size() <= 3);
  });
  read(text, parse_generation_certificate, [](const GenerationCertificate& certificate) {
    for (const GenerationCertificate::Row& row : certificate.rows)
      (void)row_json(example_of(row.row, "certificate.json"));
    fuzz::require(certificate.rows.empty() || !certificate.shortest(1).empty());
  });
  return 0;
}
