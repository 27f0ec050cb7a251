#include "platform/model_name.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace malina::platform {
namespace {

TEST(ModelName, AcceptsNamesAndTags) {
  for (const char* name : {"a", "7b", "smollm2-135m-instruct", "x.y_z-1", "llama:13b-q4_0"})
    EXPECT_EQ(name_fault(name), "") << name;
  EXPECT_EQ(name_fault(std::string(128, 'a')), "");
}

TEST(ModelName, RefusesWhatCouldBeAPathOrAnOption) {
  for (const char* name : {"", "-x", ".", "..", ".hidden", "a/b", "../a", "a b", "A", "a:", ":a",
                           "a:b:c", "a:.b", "é", "a\nb", "_a"})
    EXPECT_NE(name_fault(name), "") << name;
  EXPECT_NE(name_fault(std::string(129, 'a')), "");
  EXPECT_NE(name_fault(std::string_view("a\0b", 3)), "");
}

TEST(ModelName, ProposesAValidName) {
  EXPECT_EQ(sanitised_name("SmolLM2 135M Instruct"), "smollm2-135m-instruct");
  EXPECT_EQ(sanitised_name("  Meta / Llama (v2)! "), "meta-llama-v2");
  EXPECT_EQ(sanitised_name("../../etc/passwd"), "etc-passwd");
  EXPECT_EQ(sanitised_name("日本"), "");
  for (const char* text : {"a__b--", "x:y", "Ünïcode 1", "a.gguf"})
    EXPECT_EQ(name_fault(sanitised_name(text)), "") << text;
  try {
    check_name("My Model");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::invalid_argument);
    EXPECT_NE(std::string(error.what()).find("try 'my-model'"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace malina::platform
