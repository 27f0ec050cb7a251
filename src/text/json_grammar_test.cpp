#include "text/json_grammar.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/random.h"

namespace malina::text {
namespace {

using namespace std::string_literals;

std::string repeated(std::string_view part, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += part;
  return text;
}

const std::vector<std::string> kDocuments = {
    "{}",
    " { } ",
    R"({"a":1})",
    R"({"":""})",
    "{\r\n  \"a\" : [ 1 , 2 ,\t3 ]\n}",
    R"({"a":-0,"b":0,"c":0.1,"d":1e5,"e":1E+05,"f":-12.50e-3,"g":[0,-0.0,100,0e0]})",
    R"({"a":true,"b":false,"c":null,"d":[true,false,null]})",
    R"({"\"\\\/\b\f\n\r\t":"\u00e9\u0000\uD7ff\uE000\uffFF"})",
    R"({"face":"\uD83D\uDE00","pair":"\udbff\udfff","both":"\uD83D\uDE00\ud800\udc00x"})",
    "{\"caf\u00e9\":\"\u6f22\u5b57 \U0001F600\",\"edges\":\"\u0080\u07ff\u0800\ud7ff\ue000\uffff"
    "\U00010000\U0010ffff\"}",
    "{\"delete\":\"\x7f\"}",
    R"({"a":{"b":{"c":[[],[[]],{},{"d":[{"e":null}]}]}},"f":[]})",
    "{\"a\":" + repeated("[", 63) + repeated("]", 63) + "}",
    repeated("{\"a\":", 63) + "{}" + repeated("}", 63),
};

std::string without_end_blanks(std::string text) {
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

bool is_object(const std::string& text) {
  return nlohmann::json::parse(text, nullptr, false).is_object();
}

// The first byte that may not come; the size where all may.
std::size_t refused_at(std::string_view text) {
  JsonState state;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (!advance(state, static_cast<unsigned char>(text[i]))) return i;
  return text.size();
}

// What the bytes of the header make of a text, one at a time.
std::string closed(std::string text) {
  JsonState state = accepts({}, text).value();
  for (int step = 0; step < 200 && !complete(state); ++step) {
    std::optional<JsonState> next;
    for (const std::string_view bytes : {kJsonClosingBytes, kJsonContinuationBytes})
      for (const char byte : bytes)
        if (!next && (next = accepts(state, {&byte, 1}))) text += byte;
    if (!next) break;
    state = *next;
  }
  return complete(state) ? text : "not closed: " + text;
}

TEST(JsonGrammar, AcceptsDocumentsByteByByteAndIsCompleteAtTheirEndOnly) {
  for (const std::string& padded : kDocuments) {
    const std::string document = without_end_blanks(padded);
    ASSERT_TRUE(is_object(document)) << document;
    JsonState state;
    for (const char byte : document) {
      EXPECT_FALSE(complete(state)) << document;
      ASSERT_TRUE(advance(state, static_cast<unsigned char>(byte))) << document;
    }
    EXPECT_TRUE(complete(state)) << document;
    EXPECT_EQ(accepts({}, document), state);
    EXPECT_EQ(state, (JsonState{.place = JsonPlace::complete}));  // nothing is left over
    for (int byte = 0; byte < 256; ++byte) {
      JsonState behind = state;
      EXPECT_FALSE(advance(behind, static_cast<unsigned char>(byte)));
    }
  }
}

TEST(JsonGrammar, RefusesBrokenDocumentsAtTheByteThatBreaksThem) {
  const std::pair<std::string, std::size_t> broken[] = {
      {"[1]", 0},
      {"1", 0},
      {"\xEF\xBB\xBF{}", 0},
      {"{,}", 1},
      {"{a:1}", 1},
      {"{'a':1}", 1},
      {R"({"a",1})", 4},
      {R"({"a":})", 5},
      {R"({"a":,)", 5},
      {R"({"a":1,})", 7},
      {R"({"a":1]})", 6},
      {R"({"a":1 2})", 7},
      {R"({"a":1"b":2})", 6},
      {R"({"a":[1,]})", 8},
      {R"({"a":[1}})", 7},
      {R"({"a":[,1]})", 6},
      {R"({"a":[1:2]})", 7},
      {R"({"a":1}})", 7},
      {R"({"a":1} )", 7},
      {R"({"a":01})", 6},
      {R"({"a":-a})", 6},
      {R"({"a":--1})", 6},
      {R"({"a":+1})", 5},
      {R"({"a":.5})", 5},
      {R"({"a":1.})", 7},
      {R"({"a":1.e5})", 7},
      {R"({"a":1.5.5})", 8},
      {R"({"a":1e})", 7},
      {R"({"a":1e+})", 8},
      {R"({"a":1e5e5})", 8},
      {R"({"a":0x1})", 6},
      {R"({"a":NaN})", 5},
      {R"({"a":Infinity})", 5},
      {R"({"a":tRue})", 6},
      {R"({"a":truee})", 9},
      {R"({"a":nulll})", 9},
      {R"({"a":falsy})", 9},
      {R"({"a":"\x41"})", 7},
      {"{\"a\":\"\\\0\"}"s, 7},
      {R"({"a":"\u00g0"})", 10},
      {R"({"a":"\u00"})", 10},
      {R"({"a":"\uDE00"})", 9},   // a low surrogate first
      {R"({"a":"\uD83D"})", 12},  // a high one alone
      {R"({"a":"\uD83Dx"})", 12},
      {R"({"a":"\uD83D\n"})", 13},
      {R"({"a":"\uD83D\u0041"})", 14},
      {R"({"a":"\uD83D\uD83D"})", 15},
      {"{\"a\":\"\n\"}", 6},
      {"{\"a\":\"\t\"}", 6},
      {"{\"a\":\"\0\"}"s, 6},
      {"{\"a\":\"\x1f\"}", 6},
      {"{\"a\":\"\x80\"}", 6},
      {"{\"a\":\"\xC0\x80\"}", 6},
      {"{\"a\":\"\xC1\"}", 6},
      {"{\"a\":\"\xC3\"}", 7},
      {"{\"a\":\"\xE0\x9F\xBF\"}", 7},  // overlong
      {"{\"a\":\"\xED\xA0\x80\"}", 7},  // a surrogate
      {"{\"a\":\"\xE2\x82\"}", 8},
      {"{\"a\":\"\xF0\x8F\xBF\xBF\"}", 7},  // overlong
      {"{\"a\":\"\xF0\x9F\x98\"}", 9},
      {"{\"a\":\"\xF4\x90\x80\x80\"}", 7},  // above U+10FFFF
      {"{\"a\":\"\xF5\"}", 6},
      {"{\"a\":\"\xFF\"}", 6},
      {"{\"a\": // 1\n1}", 6},
      {"{\x0B}", 1},
      {"{\xC2\xA0}", 1},
  };
  for (const auto& [text, at] : broken) EXPECT_EQ(refused_at(text), at) << text;
}

TEST(JsonGrammar, BoundsDepthWhiteSpaceAndNumbers) {
  EXPECT_EQ(refused_at("{\"a\":" + repeated("[", 64)), 5u + 63u);
  EXPECT_EQ(refused_at(repeated("{\"a\":", 65)), 64u * 5u);

  for (const std::string before :
       {"", "{", "{\"a\"", "{\"a\":", "{\"a\":[", "{\"a\":[1", "{\"a\":[1,", "{\"a\":\"b\",",
        "{\"a\":[]", "{\"a\":null", "{\"a\":0", "{\"a\":1.5", "{\"a\":1e5"}) {
    const auto taken = [&](const std::string& blanks) {
      EXPECT_TRUE(is_object(
          closed(before + blanks.substr(0, refused_at(before + blanks) - before.size()))));
      return refused_at(before + blanks) - before.size();
    };
    const std::string spaces = repeated(" ", kJsonIndent), tabs = repeated("\t", kJsonIndent);
    for (const std::string& most : {" "s, "\t"s, "\r"s, " \r\n" + spaces, "\t\n" + tabs})
      EXPECT_EQ(taken(most), most.size()) << before;
    EXPECT_EQ(taken("\n" + spaces + " "), 1 + kJsonIndent);
    EXPECT_EQ(taken("\n" + tabs + "\t"), 1 + kJsonIndent);
    for (const char* two : {"  ", " \t", "\r ", "\r\r", "\n\n", "\n\r"})
      EXPECT_EQ(taken(two), 1u) << before << two;
    EXPECT_EQ(taken(" \r\t"), 2u);
    EXPECT_EQ(taken("\n \t"), 2u);
    EXPECT_EQ(taken("\n\t "), 2u);
    EXPECT_EQ(taken("\n  \n"), 3u);
  }
  const std::string spaces = repeated(" ", 1000);
  EXPECT_EQ(refused_at("{\"" + spaces), 1002u);  // not in a string

  const std::string digits = repeated("9", kJsonDigits);
  const std::string number = "{\"a\":" + digits;
  EXPECT_EQ(refused_at(number + "9"), number.size());
  EXPECT_EQ(refused_at(number + "." + digits + "9"), number.size() + 1 + kJsonDigits);
  EXPECT_EQ(refused_at(number + "e276"), number.size() + 3);
  EXPECT_EQ(refused_at(number + "e-300"), number.size() + 4);
  EXPECT_EQ(refused_at(number + "e0055"), number.size() + 4);
  const std::string most = number + "." + digits + "E+275}";
  EXPECT_EQ(refused_at(most), most.size());
  EXPECT_TRUE(is_object(most));  // finite: the parser refuses what is not
}

TEST(JsonGrammar, EveryPrefixCanBeClosed) {
  for (const std::string& padded : kDocuments) {
    const std::string document = without_end_blanks(padded);
    for (std::size_t size = 0; size <= document.size(); ++size) {
      const std::string text = closed(document.substr(0, size));
      EXPECT_TRUE(is_object(text)) << text;
    }
  }
}

// What this grammar bounds and the parser does not: two blanks, or a long exponent.
bool exceeds_bounds(std::string_view text) {
  if (text.find("  ") != text.npos) return true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((text[i] | 0x20) != 'e') continue;
    std::size_t digits = i + 1;
    if (digits < text.size() && (text[digits] == '+' || text[digits] == '-')) ++digits;
    std::size_t end = digits;
    while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
    if (end - digits > 2) return true;
  }
  return false;
}

std::string mutated(std::string text, base::Random& random) {
  static constexpr std::string_view kBytes =
      "{}[]\"\"\\,,::019-+.eEtrufalsn/bDd8cC\x01\x1f\x7f\x80\x9f\xa0\xbf\xc2\xe0\xed\xf0\xf4\xff";
  const auto changes = 1 + random.below(3);
  for (std::uint64_t i = 0; i < changes && !text.empty(); ++i) {
    const auto at = static_cast<std::size_t>(random.below(text.size()));
    const char byte = kBytes[static_cast<std::size_t>(random.below(kBytes.size()))];
    switch (random.below(3)) {
      case 0:
        text[at] = byte;
        break;
      case 1:
        text.insert(at, 1, byte);
        break;
      default:
        text.erase(at, 1);
    }
  }
  return text;
}

TEST(JsonGrammar, AgreesWithAParserOnChangedDocuments) {
  base::Random random(1);
  std::size_t valid = 0, invalid = 0;
  for (int round = 0; round < 3000; ++round) {
    for (const std::string& document : kDocuments) {
      if (document.size() > 120 || document.find('\n') != std::string::npos) continue;
      const std::string text = mutated(without_end_blanks(document), random);
      if (text.ends_with(' ') || exceeds_bounds(text)) continue;
      const auto state = accepts({}, text);
      const bool accepted = state && complete(*state);
      EXPECT_EQ(accepted, is_object(text)) << text;
      accepted ? ++valid : ++invalid;
      const std::string prefix = text.substr(0, refused_at(text));
      EXPECT_TRUE(is_object(closed(prefix))) << prefix;
    }
  }
  EXPECT_GT(valid, 1000u);
  EXPECT_GT(invalid, 1000u);
}

}  // namespace
}  // namespace malina::text
