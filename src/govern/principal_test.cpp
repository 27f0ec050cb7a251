#include "govern/principal.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace malina::govern {
namespace {

TEST(Permissions, TextIsReadBack) {
  const auto set = PermissionSet::parse("audit,infer");
  EXPECT_TRUE(set.contains(Permission::infer));
  EXPECT_TRUE(set.contains(Permission::audit));
  EXPECT_FALSE(set.contains(Permission::admin));
  EXPECT_EQ(set.text(), "infer,audit");
  EXPECT_EQ(PermissionSet::all().text(), "infer,train,evaluate,approve,audit,admin,upstream");
  EXPECT_EQ(PermissionSet::parse(PermissionSet::all().text()), PermissionSet::all());
}

TEST(Permissions, UnknownWordsAreRefusedByName) {
  for (const char* text : {"", ",", "infer,", "Infer", "infer admin", "infra"}) {
    try {
      PermissionSet::parse(text);
      ADD_FAILURE() << text;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.fault(), base::Fault::invalid_argument) << text;
    }
  }
}

TEST(Permissions, NoneIncludesAnother) {
  const Principal admin{.key_id = "mk_x", .permissions = {Permission::admin}};
  for (const Permission each : PermissionSet::all().list())
    EXPECT_EQ(admin.may(each), each == Permission::admin) << name(each);
}

TEST(Glob, StarStandsForAnyTextAndNone) {
  EXPECT_TRUE(glob_matches("prod", "prod"));
  EXPECT_FALSE(glob_matches("prod", "prod:1"));
  EXPECT_TRUE(glob_matches("prod*", "prod"));
  EXPECT_TRUE(glob_matches("prod*", "prod:2024-06"));
  EXPECT_FALSE(glob_matches("prod*", "a-prod"));
  EXPECT_TRUE(glob_matches("*-instruct", "smollm2-135m-instruct"));
  EXPECT_TRUE(glob_matches("a*b*c", "a-b-b-c"));
  EXPECT_FALSE(glob_matches("a*b*c", "a-b-b-d"));
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("**", "x"));
  EXPECT_FALSE(glob_matches("", "x"));
  EXPECT_TRUE(glob_matches("", ""));
}

TEST(Glob, ManyStarsTakeNoTime) {
  std::string pattern;
  for (int i = 0; i < 60; ++i) pattern += "*a";
  EXPECT_FALSE(glob_matches(pattern + "b", std::string(120, 'a')));
}

TEST(Principal, EmptyListOfModelsIsAllOfThem) {
  Principal principal{.key_id = "mk_x"};
  EXPECT_TRUE(principal.may_use("anything"));
  principal.models = {"prod", "test-*"};
  EXPECT_TRUE(principal.may_use("prod"));
  EXPECT_TRUE(principal.may_use("test-1"));
  EXPECT_FALSE(principal.may_use("smollm2"));
}

}  // namespace
}  // namespace malina::govern
