#include "base/regular_expression.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace malina::base {
namespace {

struct Case {
  const char* pattern;
  const char* text;
  bool matches;
};

// What Python's re.fullmatch() answers.
TEST(RegularExpression, MatchesWhatPythonMatches) {
  const Case cases[] = {
      {"", "", true},
      {"", "a", false},
      {"q_proj|v_proj", "v_proj", true},
      {"q_proj|v_proj", "k_proj", false},
      {R"((.*\.)?(q_proj))", "model.layers.0.self_attn.q_proj", true},
      {R"((.*\.)?(q_proj))", "model.layers.0.self_attn.eq_proj", false},
      {R"(.*\.layers\.(1|2[0-9])\.mlp\.\w+)", "model.layers.23.mlp.up_proj", true},
      {R"(.*\.layers\.(1|2[0-9])\.mlp\.\w+)", "model.layers.3.mlp.up_proj", false},
      {R"(^(model(?=\.).*\.(gate_proj|up_proj))$)", "model.layers.0.mlp.up_proj", true},
      {R"((?!.*layers\.0\.).*q_proj)", "model.layers.0.self_attn.q_proj", false},
      {R"((?!.*layers\.0\.).*q_proj)", "model.layers.10.self_attn.q_proj", true},
      {R"((?P<whole>a+)b{2,3})", "aabbb", true},
      {R"((?P<whole>a+)b{2,3})", "aabbbb", false},
      {R"(a{2}c{,2}d{1,})", "aaccddd", true},
      {"a{,x}", "a{,x}", true},
      {R"([^a-c\d]+?)", "xyz_", true},
      {R"([^a-c\d]+?)", "xy1", false},
      {"[]a]+", "]a]", true},
      {R"(\bmodel\b.\Blayer)", "model.layer", false},
      {R"(\bmodel\b.\blayer\Z)", "model.layer", true},
      {"(a*)*b", "aaaab", true},
      {"(|a)+", "aaa", true},
      {"a.c", "a\nc", false},
      {R"([\w.-]+)", "a-b.c_d", true},
  };
  for (const Case& each : cases)
    EXPECT_EQ(RegularExpression(each.pattern).matches(each.text), each.matches)
        << each.pattern << " on " << each.text;
}

TEST(RegularExpression, IsNotSlowedDownByNestedRepeats) {
  const std::string text(2000, 'a');
  EXPECT_FALSE(RegularExpression("(a+)+b").matches(text));
  EXPECT_FALSE(RegularExpression("(a|a|aa)*(a|aa)*(?!a)x").matches(text));
}

TEST(RegularExpression, RefusesWhatIsWrongOrNotThere) {
  for (const char* pattern : {"(a", "a)", "[a", "*a", "a**", "a\\", "[b-a]", "a{3,2}", "(?P<a"})
    try {
      const RegularExpression expression(pattern);
      ADD_FAILURE() << pattern;
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::invalid_argument) << pattern << ": " << error.what();
    }
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += '(';
  for (const std::string& pattern :
       {std::string(R"((a)\1)"), std::string("(?<=a)b"), std::string("(?i)a"), std::string("a++"),
        std::string("((a{999}){999}){999}"), std::string(R"(\p)"), deep, std::string(20000, 'a')})
    try {
      const RegularExpression expression(pattern);
      ADD_FAILURE() << pattern.substr(0, 40);
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::unsupported) << error.what();
    }
  EXPECT_THROW(RegularExpression("a*").matches(std::string(5000, 'a')), Error);
}

}  // namespace
}  // namespace malina::base
