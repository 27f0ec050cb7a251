#include "tune/generation_certificate.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "format/checkpoint.h"

namespace malina::tune {
namespace {

using Json = nlohmann::ordered_json;

const std::string kModel = MALINA_SOURCE_DIR "/tests/golden/tiny/q4_1.gguf";

struct Form {
  Form() {
    const auto checkpoint = format::Checkpoint::open(kModel);
    tokenizer = text::Tokenizer::create(checkpoint->metadata());
    chat_template.emplace(std::string(*checkpoint->metadata().text("tokenizer.chat_template")));
    form = {tokenizer.get(), &*chat_template, 256};
  }
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::optional<text::ChatTemplate> chat_template;
  GenerationForm form;
};

const std::vector<std::string> kRows{
    R"({"prompt":"one ","completion":"two"})",
    R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","weight":1}]})",
    R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"a"},)"
    R"({"role":"assistant","content":"b","weight":0},{"role":"user","content":"č"},)"
    R"({"role":"assistant","content":"d","weight":1}],"tools":[{"type":"function","function":{"name":"f"}}]})"};

GenerationCertificate some(const GenerationForm& form) {
  GenerationCertificate certificate;
  for (const std::string& text : kRows) {
    const Json row = Json::parse(text);
    const auto examples = generation_examples(example_of(row, "row"), form);
    GenerationCertificate::Row& each = certificate.rows.emplace_back();
    each.row = row;
    each.tokens = examples_digest(examples);
    for (const auto& example : examples) each.length += example.tokens.size();
    each.log_probability = -1.5;
  }
  return certificate;
}

// As if each token had this log-probability.
ExampleScore always(double log_probability) {
  return [=](const TrainingExample& example) {
    double sum = 0;
    for (const float weight : example.weights) sum += double{weight} * log_probability;
    return sum;
  };
}

TEST(GenerationCertificate, RowsAreThoseOfTheirExamples) {
  for (const std::string& text : kRows) {
    const Json row = Json::parse(text);
    EXPECT_EQ(row_json(example_of(row, "row")), row) << text;
  }
}

TEST(GenerationCertificate, IsReadAsItWasWritten) {
  const Form form;
  EXPECT_EQ(parse_generation_certificate(to_text(some(form.form)), "c"), some(form.form));
}

TEST(GenerationCertificate, TheShortestFitInSoManyTokens) {
  GenerationCertificate certificate;
  for (const std::uint64_t length : {30, 10, 20})
    certificate.rows.push_back(
        {.row = nullptr, .tokens = "", .length = length, .log_probability = 0});
  EXPECT_EQ(certificate.shortest(60), (std::vector<std::size_t>{1, 2, 0}));
  EXPECT_EQ(certificate.shortest(30), (std::vector<std::size_t>{1, 2}));
  EXPECT_EQ(certificate.shortest(1), (std::vector<std::size_t>{1}));
}

TEST(GenerationCertificate, TellsWhatIsOtherwise) {
  const Form form;
  const GenerationCertificate certificate = some(form.form);
  const std::vector<std::size_t> places{0, 1, 2};
  const auto found = [&](const GenerationCertificate& any, double log_probability) {
    return difference(any, places, form.form, always(log_probability), "c");
  };
  EXPECT_EQ(found(certificate, -1.45), "");
  EXPECT_NE(found(certificate, -1.7).find("row 1 has a log-probability of -1.7"),
            std::string::npos);
  EXPECT_NE(found(certificate, std::nan("")), "");
  GenerationCertificate other = certificate;
  other.rows[1].row["messages"][0]["content"] = "x";
  EXPECT_NE(found(other, -1.5).find("row 2 is read as other tokens"), std::string::npos);
  other = certificate;
  other.rows[2].row["messages"][2]["weight"] = 1;  // the same tokens, but more of them are learned
  EXPECT_NE(found(other, -1.5).find("row 3 is read as other tokens"), std::string::npos);
}

TEST(GenerationCertificate, RefusesWhatIsNone) {
  const Form form;
  const std::string text = to_text(some(form.form));
  const auto refused = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    changed.replace(changed.find(from), from.size(), to);
    try {
      parse_generation_certificate(changed, "c.json");
    } catch (const base::Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  for (const auto& [from, to, what] : std::vector<std::array<std::string, 3>>{
           {"certificate 1", "certificate 2", "format"},
           {"\"tolerance\":0.1", "\"tolerance\":2", "'tolerance'"},
           {"\"rows\"", "\"other\"", "'rows'"},
           {"-1.5", "1.5", "'log_probability'"},
           {"-1.5", "null", "'log_probability'"},
           {"\"prompt\"", "\"question\"", "a row cannot be read"},
           {"\"user\"", "\"nobody\"", "a row cannot be read"},
           {"\"length\":", "\"length\":-", "'length'"},
           {"sha256", "\",\"tokens\":7,\"x\":\"", "'tokens'"}})
    EXPECT_NE(refused(from, to).find(what), std::string::npos) << from << ": " << refused(from, to);
}

}  // namespace
}  // namespace malina::tune
