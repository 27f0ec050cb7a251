#include <gtest/gtest.h>

#include "base/error.h"
#include "model/architecture.h"

namespace malina::model {
namespace {

TEST(StableLm, ParallelFormIsRefusedByItsKey) {
  format::Metadata metadata;
  metadata.add("general.architecture", std::string_view("stablelm"));
  EXPECT_EQ(identify(metadata, "serial.gguf").architecture->name, "stablelm");
  metadata.add("stablelm.use_parallel_residual", true);
  try {
    identify(metadata, "parallel.gguf");
    FAIL() << "not refused";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::unsupported);
    EXPECT_STREQ(error.what(),
                 "parallel.gguf: model family 'stablelm' is not one that malina runs: "
                 "stablelm.use_parallel_residual is true");
  }
}

}  // namespace
}  // namespace malina::model
