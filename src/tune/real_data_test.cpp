// Public data sets as their authors publish them (../shared/data, which the product never needs).
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tune/example_reader.h"

namespace malina::tune {
namespace {

const std::string kData = MALINA_SOURCE_DIR "/../shared/data/";

struct Counted {
  std::size_t rows = 0, errors = 0, slots = 0;
  std::map<std::string, std::size_t> labels;
  std::string format;
};

Counted count(const std::string& name, ReadOptions options = {}) {
  ExampleReader reader(kData + name, std::move(options));
  Counted counted;
  counted.format = describe(reader.format());
  while (const auto row = reader.next()) {
    const auto* example = std::get_if<Example>(&*row);
    if (example == nullptr) {
      ++counted.errors;
      continue;
    }
    ++counted.rows;
    for (const std::string& label : example->classification()->labels) ++counted.labels[label];
    counted.slots += example->classification()->slots.size();
  }
  return counted;
}

TEST(PublicData, BankingIsRead) {
  const Counted train = count("banking77/train.csv");
  EXPECT_EQ(train.rows, 10'003U);
  EXPECT_EQ(train.errors, 0U);
  EXPECT_EQ(train.labels.size(), 77U);
  EXPECT_EQ(count("banking77/test.csv").rows, 3'080U);
}

TEST(PublicData, ComplaintsAreRead) {
  const Counted train = count("cfpb_complaints/cfpb_train.json");
  EXPECT_EQ(train.format, "a JSON array, text in 'input', label in 'output'");
  EXPECT_EQ(train.rows, 700U);
  EXPECT_EQ(train.labels.size(), 5U);
  EXPECT_EQ(count("cfpb_complaints/cfpb_test.json").rows, 300U);
}

TEST(PublicData, SlotsOfSnipsAreRead) {
  const Counted train = count("snips/train.jsonl");
  EXPECT_EQ(train.rows, 13'784U);
  EXPECT_EQ(train.errors, 0U);
  EXPECT_EQ(train.slots, 35'748U);
  EXPECT_EQ(train.labels.size(), 7U);
}

TEST(PublicData, SpansOfMaintenanceOrdersAreRead) {
  const Counted gold = count("maintie/gold_release.json");
  EXPECT_EQ(gold.rows + gold.errors, 1'076U);
  // Whose tokens were corrected and whose texts were not: "carosell" and "carousel".
  EXPECT_EQ(gold.errors, 5U);
  EXPECT_EQ(gold.slots, 3'378U);
}

TEST(PublicData, TopicsOfSibHaveTabsAndQuotesAsLetters) {
  for (const std::string language : {"ces_Latn", "eng_Latn"}) {
    EXPECT_EQ(count("sib200/" + language + "/train.tsv").rows, 701U) << language;
    EXPECT_EQ(count("sib200/" + language + "/dev.tsv").rows, 99U) << language;
    EXPECT_EQ(count("sib200/" + language + "/test.tsv").rows, 204U) << language;
    EXPECT_EQ(count("sib200/llm_predictions/gpt4_" + language + ".tsv").rows, 204U) << language;
  }
}

TEST(PublicData, DialoguesAreReadByTheirColumns) {
  const Counted train = count("mts_dialog/MTS-Dialog-TrainingSet.csv",
                              {.text = "dialogue", .label = "section_header", .limits = {}});
  EXPECT_EQ(train.rows, 1'201U);
  EXPECT_EQ(train.labels.size(), 20U);
}

}  // namespace
}  // namespace malina::tune
