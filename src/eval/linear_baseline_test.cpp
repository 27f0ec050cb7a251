#include "eval/linear_baseline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/digest.h"
#include "base/error.h"
#include "base/random.h"
#include "base/temporary_directory.h"
#include "eval/golden_values.h"
#include "eval/label_errors.h"
#include "eval/stratified.h"
#include "eval/test_data_sets.h"

namespace malina::eval {
namespace {

// Sentences about three things, of 6 words out of the thing's 12 and 12 common ones.
LabelledTexts small_texts(std::size_t count, std::uint64_t seed = 1) {
  base::Random random(seed);
  LabelledTexts result;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t label = random.below(3);
    std::string text;
    for (int word = 0; word < 6; ++word)
      text += (random.below(2) == 0 ? "common" : "thing" + std::to_string(label)) + "x" +
              std::to_string(random.below(12)) + " ";
    result.add(text, "label " + std::to_string(label));
  }
  return result;
}

double accuracy(const LinearBaseline& baseline, const LabelledTexts& test, base::ThreadPool& pool) {
  const ProbabilityTable table = baseline.probabilities(test.texts, pool);
  std::size_t right = 0;
  for (std::size_t i = 0; i < table.rows(); ++i)
    right += baseline.labels()[likeliest(table.row(i))] == test.labels[i];
  return static_cast<double>(right) / static_cast<double>(table.rows());
}

base::Fault fault_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const base::Error& error) {
    return error.fault();
  }
  ADD_FAILURE() << "nothing was thrown";
  return base::Fault::internal;
}

TEST(LinearBaseline, LearnsToTellTextsApart) {
  base::ThreadPool pool(2);
  const LabelledTexts train = small_texts(300);
  const auto baseline = LinearBaseline::fit(train.texts, train.labels, {}, pool);
  EXPECT_EQ(baseline.labels().size(), 3U);
  EXPECT_GT(accuracy(baseline, small_texts(200, 2), pool), 0.95);
  const auto one = baseline.probabilities("thing1x3 thing1x4");
  EXPECT_EQ(likeliest(one), 1U);
  EXPECT_NEAR(one[0] + one[1] + one[2], 1, 1e-12);
}

TEST(LinearBaseline, ThreadsChangeNoBit) {
  base::ThreadPool one(1), three(3);
  const LabelledTexts train = small_texts(120);
  EXPECT_EQ(LinearBaseline::fit(train.texts, train.labels, {}, one).bytes(),
            LinearBaseline::fit(train.texts, train.labels, {}, three).bytes());
}

TEST(LinearBaseline, ProbeOnDenseRowsIgnoresScaleAndConstantColumns) {
  base::ThreadPool pool(2);
  base::Random random(3);
  std::vector<float> values;
  std::vector<std::string> labels;
  for (int i = 0; i < 300; ++i) {
    const bool yes = random.below(2) == 1;
    labels.push_back(yes ? "yes" : "no");
    values.insert(values.end(), {(yes ? 1e4F : 0) + random.uniform(0, 1.5e4F),
                                 (yes ? 0 : 1e-4F) + random.uniform(0, 1.5e-4F), 7.0F});
  }
  const DenseRows rows{values, 3};
  const auto probe = LinearBaseline::fit_dense(rows, labels, {}, pool);
  const ProbabilityTable table = probe.probabilities(rows, pool);
  std::size_t right = 0;
  for (std::size_t i = 0; i < 300; ++i) {
    right += probe.labels()[likeliest(table.row(i))] == labels[i];
    const auto one = probe.probabilities(rows.row(i));
    EXPECT_TRUE(std::equal(one.begin(), one.end(), table.row(i).begin()));
  }
  EXPECT_GT(right, 240U);
  EXPECT_EQ(LinearBaseline::parse(probe.bytes(), "probe").bytes(), probe.bytes());
  EXPECT_EQ(fault_of([&] { probe.probabilities("text"); }), base::Fault::invalid_argument);
  EXPECT_EQ(fault_of([&] { probe.probabilities(std::span(values).first(2)); }),
            base::Fault::invalid_argument);
}

TEST(LinearBaseline, WhatCannotBeLearnedFromIsRefused) {
  base::ThreadPool pool(1);
  const std::vector<std::string> texts{"a", "b"};
  const auto fit = [&](std::vector<std::string> labels) {
    return fault_of([&] { LinearBaseline::fit(texts, labels, {}, pool); });
  };
  EXPECT_EQ(fit({"x"}), base::Fault::invalid_argument);
  EXPECT_EQ(fit({"x", "x"}), base::Fault::invalid_argument);
  EXPECT_EQ(fit({"x", std::string(5000, 'y')}), base::Fault::invalid_argument);
  const std::vector<float> values{1, 2, std::nanf(""), 4};
  EXPECT_EQ(fault_of([&] {
              LinearBaseline::fit_dense({values, 2}, std::vector<std::string>{"x", "y"}, {}, pool);
            }),
            base::Fault::invalid_argument);
}

TEST(LinearBaseline, TextsWithoutTermsAreNoFailure) {
  base::ThreadPool pool(1);
  const std::vector<std::string> texts{"", " ", "", "?"}, labels{"x", "y", "x", "x"};
  const auto baseline = LinearBaseline::fit(texts, labels, {}, pool);
  const auto probabilities = baseline.probabilities("");
  EXPECT_GT(probabilities[0], probabilities[1]);
}

TEST(LinearBaseline, FileGivesTheSameAnswers) {
  base::ThreadPool pool(2);
  const base::TemporaryDirectory directory;
  const LabelledTexts train = small_texts(60);
  const auto baseline = LinearBaseline::fit(train.texts, train.labels, {}, pool);
  baseline.save(directory.path() / "baseline");
  const auto loaded = LinearBaseline::load(directory.path() / "baseline");
  EXPECT_EQ(loaded.cost(), baseline.cost());
  EXPECT_EQ(loaded.probabilities(train.texts, pool).values,
            baseline.probabilities(train.texts, pool).values);
  EXPECT_EQ(fault_of([&] { LinearBaseline::load(directory.path() / "none"); }),
            base::Fault::not_found);
}

// With a digest that fits: what the parser itself must see through.
std::string signed_content(std::string content) {
  base::Sha256 digest;
  digest.update(content);
  const base::Digest sum = digest.finish();
  content.append(reinterpret_cast<const char*>(sum.bytes().data()), sum.bytes().size());
  return content;
}

TEST(LinearBaseline, BrokenFilesAreRefused) {
  base::ThreadPool pool(1);
  const std::vector<std::string> texts{"ab", "cd"}, labels{"x", "y"};
  const std::string bytes = LinearBaseline::fit(texts, labels, {.cost = 1}, pool).bytes();
  const auto fault = [](const std::string& broken) {
    return fault_of([&] { LinearBaseline::parse(broken, "file"); });
  };
  for (std::size_t length = 0; length < bytes.size(); ++length)
    EXPECT_EQ(fault(bytes.substr(0, length)), base::Fault::corrupt_file) << length;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 0x40);
    EXPECT_EQ(fault(changed), base::Fault::corrupt_file) << at;
  }
  EXPECT_EQ(fault(bytes + "x"), base::Fault::corrupt_file);

  const std::string content = bytes.substr(0, bytes.size() - base::Digest::kBytes);
  for (std::size_t length = 8; length < content.size(); ++length)
    EXPECT_EQ(fault(signed_content(content.substr(0, length))), base::Fault::corrupt_file);
  EXPECT_EQ(fault(signed_content(content + "x")), base::Fault::corrupt_file);
  const auto patched = [&](std::size_t at, std::string_view with) {
    std::string changed = content;
    changed.replace(at, with.size(), with);
    return signed_content(changed);
  };
  EXPECT_EQ(fault(patched(8, "\x02")), base::Fault::unsupported);                  // version
  EXPECT_EQ(fault(patched(12, "\x02")), base::Fault::corrupt_file);                // kind
  EXPECT_EQ(fault(patched(16, std::string(8, '\0'))), base::Fault::corrupt_file);  // cost 0
  for (const std::size_t field : {24U, 32U, 40U})  // labels, width, a label's length
    for (const std::string_view number :
         {std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff"), std::string_view("\0\0\0\0\1", 5)})
      EXPECT_EQ(fault(patched(field, number)), base::Fault::corrupt_file) << field;
  EXPECT_EQ(fault(patched(48, "z")), base::Fault::corrupt_file);  // labels out of order
  const std::string not_a_number("\x00\x00\xc0\x7f", 4);
  EXPECT_EQ(fault(patched(content.size() - 4, not_a_number)), base::Fault::corrupt_file);
}

// The features and the probabilities of scikit-learn on the same texts (its own liblinear, to its
// end; ours stops earlier).
TEST(LinearBaseline, IsThatOfScikitLearn) {
  base::ThreadPool pool(2);
  const auto& golden = golden_values().at("baseline");
  const std::vector<std::string> train = golden.at("train"), test = golden.at("test");
  const TextFeatures features = TextFeatures::fit(train, pool);
  EXPECT_EQ(features.width(), golden.at("terms"));
  for (std::size_t i = 0; i < golden.at("rows").size(); ++i) {
    std::vector<float> values = features.row(test[i]).values;
    std::sort(values.begin(), values.end(), std::greater<>());
    const std::vector<float> expected = golden.at("rows")[i];
    ASSERT_EQ(values.size(), expected.size());
    for (std::size_t k = 0; k < values.size(); ++k) EXPECT_NEAR(values[k], expected[k], 1e-6);
  }
  const ClassIndex classes = index_classes(golden.at("labels").get<std::vector<std::string>>());
  const LogisticWeights weights =
      fit_logistic(features.rows(train, pool), classes.of, classes.names.size(),
                   {.cost = golden.at("cost"), .tolerance = 1e-8}, pool);
  std::vector<double> answer(classes.names.size());
  for (std::size_t i = 0; i < test.size(); ++i) {
    const SparseRow row = features.row(test[i]);
    weights.scores(row.columns, row.values, answer);
    for (std::size_t k = 0; k < answer.size(); ++k)
      EXPECT_NEAR(answer[k], golden.at("logits")[i][k], 1e-4);
    weights.probabilities(row.columns, row.values, answer);
    for (std::size_t k = 0; k < answer.size(); ++k)
      EXPECT_NEAR(answer[k], golden.at("probabilities")[i][k], 1e-5);
  }
}

TEST(OutOfFold, RowsAreAnsweredByModelsThatDidNotSeeThem) {
  base::ThreadPool pool(2);
  // Every text is one word of its own, so whoever has seen it knows the label and no one else does.
  base::Random random(1);
  std::vector<std::string> texts, labels;
  for (int i = 0; i < 100; ++i) {
    texts.push_back(std::string(1, static_cast<char>('a' + i % 26)) +
                    std::string(3, static_cast<char>('a' + i / 26)) +
                    std::to_string(random.next()));
    labels.push_back(random.below(2) == 0 ? "x" : "y");
  }
  const LinearOptions options{.cost = 100};
  const auto baseline = LinearBaseline::fit(texts, labels, options, pool);
  const ProbabilityTable seen = baseline.probabilities(texts, pool);
  const ProbabilityTable unseen = out_of_fold_probabilities(texts, labels, 5, options, pool);
  const ClassIndex classes = index_classes(labels);
  std::size_t seen_right = 0, unseen_right = 0;
  for (std::size_t i = 0; i < 100; ++i) {
    seen_right += likeliest(seen.row(i)) == classes.of[i];
    unseen_right += likeliest(unseen.row(i)) == classes.of[i];
  }
  EXPECT_EQ(seen_right, 100U);
  EXPECT_LT(unseen_right, 70U);
  EXPECT_EQ(fault_of([&] { out_of_fold_probabilities(texts, labels, 1, options, pool); }),
            base::Fault::invalid_argument);
}

TEST(OutOfFold, LabelsThatWereChangedAreSuspectedFirst) {
  base::ThreadPool pool(2);
  LabelledTexts data = small_texts(400);
  std::vector<bool> changed(400);
  for (std::size_t i = 0; i < 400; i += 20) {
    data.labels[i] = data.labels[i] == "label 0" ? "label 1" : "label 0";
    changed[i] = true;
  }
  const ClassIndex classes = index_classes(data.labels);
  const auto suspected = suspected_label_errors(
      classes.of, out_of_fold_probabilities(data.texts, data.labels, 5, {}, pool));
  std::size_t found = 0;
  for (const SuspectedLabel& row : suspected) found += changed[row.row];
  EXPECT_GE(found, 12U);  // of 20: some texts have hardly a word of their thing
  EXPECT_LE(suspected.size(), found + 2);
}

class PublicData : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_test_data()) GTEST_SKIP() << "there is no " << test_data_folder();
  }
};

// The quick ones of what bench/linear_baseline measures in full.
TEST_F(PublicData, TenExamplesPerClassOfBanking) {
  base::ThreadPool pool;
  const TestData data = read_test_data("banking77");
  LabelledTexts train;
  for (const std::size_t i : per_class_subset(index_classes(data.train.labels).of, 10, 1))
    train.add(data.train.texts[i], data.train.labels[i]);
  ASSERT_EQ(train.texts.size(), 770U);
  const auto baseline = LinearBaseline::fit(train.texts, train.labels, {.cost = 16}, pool);
  EXPECT_GT(accuracy(baseline, data.test, pool), 0.715);
}

TEST_F(PublicData, TopicsInCzechAndEnglish) {
  base::ThreadPool pool;
  const auto measured = [&](const std::string& name, const LinearOptions& options) {
    const TestData data = read_test_data(name);
    EXPECT_EQ(data.train.texts.size(), 701U);
    EXPECT_EQ(data.test.texts.size(), 204U);
    return accuracy(LinearBaseline::fit(data.train.texts, data.train.labels, options, pool),
                    data.test, pool);
  };
  EXPECT_GT(measured("sib200-czech", {}), 0.61);  // chooses the cost, which takes time
  EXPECT_GT(measured("sib200-english", {.cost = 64}), 0.72);
}

}  // namespace
}  // namespace malina::eval
