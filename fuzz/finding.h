// What is a finding, and what is a refusal: shared by the fuzz targets.
#pragma once

#include <cstdlib>
#include <string_view>

#include "base/error.h"

namespace malina::fuzz {

// A promise that does not hold is a finding, as a fault in memory is.
inline void require(bool holds) {
  if (!holds) std::abort();
}

// Runs `work`. Input may be refused by any base::Error that is no defect of ours.
template <class Work>
void unless_refused(Work work) {
  try {
    work();
  } catch (const base::Error& error) {
    require(error.fault() != base::Fault::internal);
  }
}

// The same of a file: it is refused as corrupt or unsupported, in words that a terminal can show
// whatever stands in it.
template <class Work>
void unless_file_refused(Work work) {
  try {
    work();
  } catch (const base::Error& error) {
    require(error.fault() == base::Fault::corrupt_file ||
            error.fault() == base::Fault::unsupported);
    for (const char c : std::string_view(error.what())) require(c >= 0x20 && c < 0x7f);
  }
}

}  // namespace malina::fuzz
