// The file of a linear baseline. The input lacks its digest, which is added here, so that what is
// read is the content itself. What is accepted answers with probabilities and is written as it was.
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "eval/linear_baseline.h"
#include "finding.h"

namespace {

using namespace malina;
using fuzz::require;

void check(const eval::LinearBaseline& baseline, const std::string& bytes, bool texts) {
  require(baseline.bytes() == bytes);
  if (!texts) return;
  double sum = 0;
  for (const double probability : baseline.probabilities("A text, příliš \xff")) sum += probability;
  require(std::abs(sum - 1) < 1e-9);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  base::Sha256 digest;
  digest.update(bytes);
  const base::Digest sum = digest.finish();
  bytes.append(reinterpret_cast<const char*>(sum.bytes().data()), sum.bytes().size());
  try {
    const auto baseline = eval::LinearBaseline::parse(bytes, "file");
    check(baseline, bytes, bytes[12] == 0);
  } catch (const base::Error& error) {
    require(error.fault() == base::Fault::corrupt_file ||
            error.fault() == base::Fault::unsupported);
    require(std::string_view(error.what()).starts_with("file"));
  }
  return 0;
}
