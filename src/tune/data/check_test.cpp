#include "tune/data/check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "base/error.h"
#include "base/temporary_directory.h"

namespace malina::tune {
namespace {

const std::string kData = MALINA_SOURCE_DIR "/../shared/data/";

class Checking : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& text) {
    const auto path = directory_.path() / name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  DataReport check(const std::string& train, const std::string& test = "",
                   CheckRequest request = {}) {
    request.parts.push_back({"train", write("train.csv", train)});
    if (!test.empty()) request.parts.push_back({"test", write("test.csv", test)});
    return check_data(request);
  }
  base::TemporaryDirectory directory_;
};

// "error leak test" and so on, in their order.
std::vector<std::string> kinds(const DataReport& report) {
  std::vector<std::string> kinds;
  for (const Finding& finding : report.findings)
    kinds.push_back(std::string(finding.severity == Severity::error ? "error " : "warning ") +
                    finding.kind + " " + finding.part);
  return kinds;
}
bool has(const DataReport& report, const std::string& kind) {
  const auto all = kinds(report);
  return std::find(all.begin(), all.end(), kind) != all.end();
}

std::string rows(int count, const std::string& label, const std::string& stem) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += stem + " " + std::to_string(i * 7919) + " " + std::to_string(i * 104729) + "," + label +
            "\n";
  return text;
}

TEST_F(Checking, GoodDataHasNoFindings) {
  const DataReport report =
      check("text,label\n" + rows(10, "a", "red apples") + rows(10, "b", "blue plums"),
            "text,label\n" + rows(5, "a", "large green leaves of trees") +
                rows(5, "b", "small yellow flowers in gardens"));
  EXPECT_EQ(kinds(report), std::vector<std::string>{});
  EXPECT_FALSE(report.refused());
  EXPECT_EQ(report.parts[0].rows, 20U);
  EXPECT_EQ(report.parts[0].labels.size(), 2U);
  EXPECT_EQ(report.parts[0].answers, Answers::labels);
  EXPECT_EQ(report.parts[0].digest.hex().size(), 64U);
}

TEST_F(Checking, BadRowsRefuse) {
  const DataReport report =
      check("text,label\n" + rows(10, "a", "one") + "short\n" + rows(10, "b", "two") + ",b\n");
  EXPECT_TRUE(report.refused());
  EXPECT_EQ(report.parts[0].bad_rows, 2U);
  EXPECT_EQ(report.findings[0].what,
            "2 rows cannot be used; the first, on line 12: it has 1 field, and the first line "
            "names 2 columns");
}

TEST_F(Checking, OneLabelRefuses) {
  EXPECT_TRUE(has(check("text,label\n" + rows(10, "a", "one")), "error one_label train"));
}

TEST_F(Checking, RepeatsAndContradictionsAreNamedByLine) {
  const DataReport report = check(
      "text,label\nThe same thing here,a\nthe same thing: here!,b\n"
      "The same thing here,a\nSomething entirely different,b\n");
  const PartReport& part = report.parts[0];
  EXPECT_EQ(part.duplicates.same, 1U);
  EXPECT_EQ(part.duplicates.verbatim, 1U);
  EXPECT_EQ(part.duplicates.other_answer, 1U);
  EXPECT_EQ(part.duplicates.listed[0].line, 3U);
  EXPECT_EQ(part.duplicates.listed[0].other_line, 2U);
  ASSERT_EQ(part.contradictions.size(), 1U);
  EXPECT_EQ(part.contradictions[0].lines, (std::vector<std::uint64_t>{2, 3, 4}));
  EXPECT_EQ(part.contradictions[0].labels, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(has(report, "warning contradictions train"));
}

TEST_F(Checking, LeaksRefuseFromAShareOn) {
  const std::string train =
      "text,label\n" + rows(30, "a", "red apples") + rows(30, "b", "blue plums");
  const std::string test = "text,label\n" + rows(1, "a", "Red APPLES:") +
                           rows(20, "b", "small yellow flowers in gardens");
  EXPECT_TRUE(has(check(train, test), "error leak test"));
  CheckRequest lenient;
  lenient.most_leaks = 0.1;
  const DataReport report = check(train, test, lenient);
  EXPECT_TRUE(has(report, "warning leak test"));
  EXPECT_FALSE(report.refused());
  EXPECT_EQ(report.parts[1].leaks.same, 1U);
  EXPECT_EQ(report.parts[1].leaks.listed[0].other_line, 2U);
}

TEST_F(Checking, LabelsAreLookedAt) {
  const DataReport report = check("text,label\n" + rows(10, "refund", "one") +
                                      rows(10, "Refund", "two") + rows(2, "rare", "three"),
                                  "text,label\n" + rows(3, "new", "some entirely other text"));
  EXPECT_TRUE(has(report, "warning labels_alike train"));
  EXPECT_TRUE(has(report, "warning rare_labels train"));
  EXPECT_TRUE(has(report, "warning unknown_labels test"));
}

TEST_F(Checking, PersonalDataIsCountedAndNotRepeated) {
  const DataReport report = check(
      "text,label\nWrite to jan@example.cz or eva@example.cz please,a\nRČ 855514/0000 "
      "here,b\nNothing to see in here,b\n");
  const auto& found = report.parts[0].personal_data;
  EXPECT_EQ(found.at(PersonalData::email).rows, 1U);
  EXPECT_EQ(found.at(PersonalData::email).occurrences, 2U);
  EXPECT_EQ(found.at(PersonalData::birth_number).lines, std::vector<std::uint64_t>{3});
  for (const Finding& finding : report.findings)
    EXPECT_EQ(finding.what.find("example.cz"), std::string::npos) << finding.what;
}

TEST_F(Checking, EveryRowThatWouldBeCutIsNamed) {
  CheckRequest request;
  request.count_tokens = [](const Example& example) {
    const std::string& text = example.classification()->text;
    if (text == "refused") throw base::Error(base::Fault::invalid_argument, "the template says no");
    return text.size();
  };
  request.max_tokens = 10;
  const DataReport report =
      check("text,label\nshort,a\nrather a long text,b\nrefused,a\nanother that is too long,b\n",
            "", request);
  const PartReport& part = report.parts[0];
  ASSERT_EQ(part.truncated_rows, 2U);
  EXPECT_EQ(part.truncated[1].line, 5U);
  EXPECT_EQ(part.truncated[1].tokens, 24U);
  EXPECT_EQ(part.errors[0].what, "the template says no");
  EXPECT_EQ(part.tokens->p50, 18U);
  EXPECT_EQ(part.tokens->most, 24U);
  std::uint64_t all = 0;
  for (const std::uint64_t bin : part.tokens->bins) all += bin;
  EXPECT_EQ(all, 3U);
}

TEST_F(Checking, AnswersOfCompletionsThatRepeatAreLabels) {
  std::string text;
  for (int i = 0; i < 30; ++i)
    text += "{\"prompt\":\"Which is it? number " + std::to_string(i * 7919) +
            "\",\"completion\":\"" + (i % 2 == 0 ? "yes" : "no") + "\"}\n";
  CheckRequest request;
  request.parts.push_back({"train", write("train.jsonl", text)});
  const DataReport report = check_data(request);
  EXPECT_EQ(report.parts[0].answers, Answers::labels);
  EXPECT_EQ(report.parts[0].labels[0].second, 15U);
}

TEST_F(Checking, LeaksOfConversationsAreFoundBelowTheirInstructions) {
  const auto chat = [](const std::string& system, const std::string& user) {
    return "{\"messages\":[{\"role\":\"system\",\"content\":\"" + system +
           "\"},{\"role\":\"user\",\"content\":\"" + user +
           "\"},{\"role\":\"assistant\",\"content\":\"An answer.\"}]}\n";
  };
  CheckRequest request;
  request.parts.push_back(
      {"train", write("train.jsonl", chat("Be brief.", "Where is the station, please?") +
                                         chat("Be brief.", "When does it open today?"))});
  request.parts.push_back({"validation", write("v.jsonl", chat("You are a helpful assistant.",
                                                               "where is the station please"))});
  const DataReport report = check_data(request);
  EXPECT_EQ(report.parts[1].leaks.same, 1U);
  EXPECT_TRUE(has(report, "error leak validation"));
}

TEST_F(Checking, LabelsThatTheOtherRowsContradictAreSuspected) {
  std::string text = "text,label\n";
  for (int i = 0; i < 40; ++i)
    text += std::string(i % 2 == 0 ? "my card was lost in the city," : "i want a loan for a house,")
                .insert(0, "nr " + std::to_string(i * 7919) + " ") +
            (i == 7       ? "card"
             : i % 2 == 0 ? "card"
                          : "loan") +
            "\n";
  base::ThreadPool pool(1);
  CheckRequest request;
  request.suspect_labels = &pool;
  const DataReport report = check(text, "", request);
  ASSERT_EQ(report.parts[0].suspected_rows, 1U);
  EXPECT_EQ(report.parts[0].suspected[0].line, 9U);
  EXPECT_EQ(report.parts[0].suspected[0].given, "card");
  EXPECT_EQ(report.parts[0].suspected[0].suggested, "loan");
  EXPECT_TRUE(has(report, "warning wrong_labels train"));
}

TEST_F(Checking, WhatTheProgressThrowsEndsTheFitsOfSuspectedLabels) {
  base::ThreadPool pool(2);
  CheckRequest request;
  request.suspect_labels = &pool;
  request.parts = {
      {"train", write("train.csv", "text,label\n" + rows(40, "a", "card") + rows(40, "b", "loan") +
                                       rows(40, "c", "rent"))}};
  struct Enough {};
  int told = 0;
  const auto progress = [&](std::string_view step, std::uint64_t, std::uint64_t) {
    if (step == "training on the other rows" && ++told == 3) throw Enough();
  };
  EXPECT_THROW(check_data(request, progress), Enough);
  EXPECT_EQ(told, 3);
}

TEST_F(Checking, WhereLabelsCannotBeSuspectedTheReportSaysWhy) {
  base::ThreadPool pool(1);
  CheckRequest request;
  request.suspect_labels = &pool;
  const auto why = [&](const std::string& text) {
    return check(text, "", request).parts[0].not_suspected_because;
  };
  EXPECT_EQ(why("text,label\nlost card,a\nhouse loan,b\n"), "it has fewer than 5 rows");
  std::string each_its_own = "text,label\n";
  for (int i = 0; i < 30; ++i)
    each_its_own += "text " + std::to_string(i * 7919) + ",label" + std::to_string(i) + "\n";
  EXPECT_EQ(why(each_its_own), "its labels hardly repeat");
  EXPECT_EQ(why("text,label\n" + rows(10, "a", "card") + rows(10, std::string(5000, 'b'), "loan")),
            "a label has more than 4096 bytes");
}

TEST(KnownAnswers, Banking) {
  CheckRequest request;
  request.parts = {{"train", kData + "banking77/train.csv"},
                   {"test", kData + "banking77/test.csv"}};
  const DataReport report = check_data(request);
  const PartReport &train = report.parts[0], &test = report.parts[1];
  EXPECT_EQ(train.rows, 10'003U);
  EXPECT_EQ(train.bad_rows, 0U);
  EXPECT_EQ(train.labels.size(), 77U);
  EXPECT_EQ(train.labels.front().second, 187U);
  EXPECT_EQ(train.labels.back().second, 35U);
  EXPECT_TRUE(train.wrappers.empty() && test.wrappers.empty());
  EXPECT_EQ(train.duplicates.verbatim + train.duplicates.same, 31U);
  EXPECT_EQ(train.contradictions.size(), 1U);
  EXPECT_EQ(test.leaks.verbatim + test.leaks.same, 25U);
  EXPECT_GE(test.leaks.rows(), 145U);
  EXPECT_LE(test.leaks.rows(), 151U);
  EXPECT_EQ(test.leaks.other_answer, 10U);
}

TEST(KnownAnswers, ComplaintsLeakBelowTheirWrappers) {
  CheckRequest request;
  request.parts = {{"train", kData + "cfpb_complaints/cfpb_train.json"},
                   {"test", kData + "cfpb_complaints/cfpb_test.json"}};
  const DataReport report = check_data(request);
  const PartReport &train = report.parts[0], &test = report.parts[1];
  ASSERT_EQ(test.wrappers.prefixes.size(), 1U);
  EXPECT_TRUE(test.wrappers.prefixes[0].ends_with("\nComment: ")) << test.wrappers.prefixes[0];
  EXPECT_EQ(train.wrappers.prefixes, std::vector<std::string>{"Narrative: "});
  EXPECT_EQ(test.leaks.verbatim, 0U);
  EXPECT_EQ(test.leaks.same, 15U);
  EXPECT_EQ(test.leaks.rows(), 21U);
  EXPECT_EQ(train.duplicates.verbatim + train.duplicates.same, 31U);
  EXPECT_TRUE(report.refused());
}

TEST(KnownAnswers, Snips) {
  CheckRequest request;
  request.parts = {{"train", kData + "snips/train.jsonl"}, {"test", kData + "snips/test.jsonl"}};
  const DataReport report = check_data(request);
  EXPECT_EQ(report.parts[0].duplicates.verbatim + report.parts[0].duplicates.same, 251U);
  EXPECT_EQ(report.parts[1].leaks.verbatim + report.parts[1].leaks.same, 18U);
  // As the comparison of all pairs gives.
  EXPECT_EQ(report.parts[1].leaks.rows(), 35U);
  EXPECT_EQ(report.parts[0].slot_types.size(), 39U);
}

}  // namespace
}  // namespace malina::tune
