// What decisions cost, in positions and in time: many labels after a long prompt beside the prompt
// alone, and rows of a table beside what each of them alone needs.
//
//   decide_costs MODEL.gguf LABELS.json TEXTS [ROUNDS]
//
// LABELS.json: a list of labels; TEXTS: one text a line. Prints one JSON object.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <sstream>

#include "base/error.h"
#include "decide/label_scorer.h"
#include "engine/engine.h"
#include "format/checkpoint.h"
#include "text/chat_template.h"

namespace {

using namespace malina;
using Clock = std::chrono::steady_clock;
using decide::Json;

constexpr std::size_t kPrompt = 1000;  // tokens
constexpr std::size_t kRows = 32;
constexpr std::size_t kContext = 4096, kPositions = 24576;

struct Bench {
  explicit Bench(const std::string& path)
      : pool(std::max(1U, std::thread::hardware_concurrency())),
        device(pool),
        checkpoint(format::Checkpoint::open(path)),
        tokenizer(text::Tokenizer::create(checkpoint->metadata())),
        model(model::Model::load(checkpoint, device, pool)),
        engine(
            model, tokenizer, device, arbiter,
            {.context = kContext, .positions = kPositions, .step_time = std::chrono::seconds(5)}) {
    if (const auto source = checkpoint->metadata().text("tokenizer.chat_template"))
      chat_template.emplace(*source);
  }
  decide::PromptSource source() const {
    return {tokenizer, chat_template ? &*chat_template : nullptr};
  }

  base::ThreadPool pool;
  math::CpuDevice device;
  engine::StepArbiter arbiter;
  std::shared_ptr<const format::Checkpoint> checkpoint;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::shared_ptr<const model::Model> model;
  std::optional<text::ChatTemplate> chat_template;
  engine::Engine engine;
};

struct Cost {
  std::size_t positions = 0;
  double seconds = 0;
};

Cost run(Bench& bench, engine::Generation generation) {
  const auto start = Clock::now();
  const auto stream = bench.engine.submit(std::move(generation));
  while (stream->next()) {
  }
  const engine::Finished& finished = stream->finished();
  return {finished.prompt_tokens + finished.continuation_tokens,
          std::chrono::duration<double>(Clock::now() - start).count()};
}

// The middle of the ratios of pairs, each measured right after the other; and that of the fastest
// of each, which a busy machine disturbs least.
struct Ratio {
  Cost cost, base;
  double positions = 0, time = 0, least = 0, most = 0, of_fastest = 0;
};

template <class Make, class MakeBase>
Ratio compare(Bench& bench, int rounds, double base_scale, const Make& make,
              const MakeBase& make_base) {
  Ratio ratio;
  std::vector<double> times;
  double fastest = std::numeric_limits<double>::infinity(), fastest_base = fastest;
  for (int round = 0; round <= rounds; ++round) {
    Cost base;
    for (engine::Generation& each : make_base()) {
      const Cost one = run(bench, std::move(each));
      base.positions += one.positions;
      base.seconds += one.seconds;
    }
    ratio.cost = run(bench, make());
    ratio.base = base;
    if (round == 0) continue;  // it warms up
    times.push_back(ratio.cost.seconds / (base.seconds * base_scale));
    fastest = std::min(fastest, ratio.cost.seconds);
    fastest_base = std::min(fastest_base, base.seconds * base_scale);
  }
  std::sort(times.begin(), times.end());
  ratio.positions = static_cast<double>(ratio.cost.positions) /
                    (static_cast<double>(ratio.base.positions) * base_scale);
  ratio.time = times[times.size() / 2];
  ratio.least = times.front();
  ratio.most = times.back();
  ratio.of_fastest = fastest / fastest_base;
  return ratio;
}

Json json_of(const Ratio& ratio) {
  return {{"positions", ratio.cost.positions},        {"base_positions", ratio.base.positions},
          {"positions_ratio", ratio.positions},       {"seconds", ratio.cost.seconds},
          {"base_seconds", ratio.base.seconds},       {"time_ratio", ratio.time},
          {"time_ratio_least", ratio.least},          {"time_ratio_most", ratio.most},
          {"time_ratio_of_fastest", ratio.of_fastest}};
}

std::shared_ptr<const decide::Question> question_of(const Json& labels) {
  auto question = std::make_shared<decide::Question>();
  question->type = decide::QuestionType::choice;
  question->instructions = "Which intent does this message of a bank's customer have?";
  for (const Json& label : labels) question->options.push_back({label.get<std::string>()});
  return question;
}

engine::Generation prompt_alone(std::vector<text::Token> tokens) {
  engine::Generation generation;
  generation.prompt = std::move(tokens);
  return generation;
}

// A text so long that its prompt has kPrompt tokens.
std::string padded(const decide::LabelScorer& scorer, const std::vector<std::string>& texts) {
  std::string text;
  for (std::size_t i = 0;; ++i) {
    const std::string longer = text + texts[i % texts.size()] + " ";
    if (scorer.ask(std::vector{longer}).prompt_tokens[0] > kPrompt) return text;
    text = longer;
  }
}

int measure(const std::string& model, const std::string& label_file, const std::string& text_file,
            int rounds) {
  Bench bench(model);
  std::ifstream labels_stream(label_file);
  const Json labels = Json::parse(labels_stream);
  std::vector<std::string> texts;
  std::ifstream text_stream(text_file);
  for (std::string line; std::getline(text_stream, line);)
    if (!line.empty()) texts.push_back(line);
  if (texts.size() < kRows)
    throw base::Error(base::Fault::invalid_argument,
                      text_file + " has fewer than " + std::to_string(kRows) + " lines of text");
  const decide::LabelScorer scorer(bench.source(), question_of(labels), kContext);

  const std::vector<std::string> one{padded(scorer, texts)};
  const auto whole = scorer.ask(one).generation.prompt;
  const Ratio after_prompt = compare(
      bench, rounds, 1, [&] { return scorer.ask(one).generation; },
      [&] {
        std::vector<engine::Generation> base;
        base.push_back(prompt_alone(whole));
        return base;
      });

  // A row's own: its text behind the instructions, which are there already, and the labels' trie.
  const std::vector<std::string> rows(texts.begin(),
                                      texts.begin() + static_cast<std::ptrdiff_t>(kRows));
  const std::size_t shared = scorer.ask(rows).generation.prompt.size();
  std::size_t own = 0;
  for (const std::size_t tokens : scorer.ask(rows).prompt_tokens) own += tokens - shared;
  const std::size_t trie = run(bench, scorer.ask(std::vector{rows[0]}).generation).positions -
                           scorer.ask(std::vector{rows[0]}).prompt_tokens[0];
  const Cost together = run(bench, scorer.ask(rows).generation);
  const double alone = static_cast<double>(own + kRows * trie);
  const Cost prefill = run(bench, prompt_alone(whole));
  const double per_position = prefill.seconds / static_cast<double>(prefill.positions);
  Json result{{"labels", labels.size()},
              {"trie", trie},
              {"after_prompt", json_of(after_prompt)},
              {"rows",
               {{"rows", kRows},
                {"shared", shared},
                {"positions", together.positions},
                {"alone", own + kRows * trie},
                {"positions_ratio", static_cast<double>(together.positions) / alone},
                {"seconds", together.seconds},
                {"prefill_seconds_of_as_many", per_position * alone},
                {"time_ratio_to_prefill", together.seconds / (per_position * alone)}}}};
  std::cout << result.dump(2) << "\n";
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 4) {
    std::cerr << "decide_costs MODEL.gguf LABELS.json TEXTS [ROUNDS]\n";
    return 2;
  }
  try {
    return measure(arguments[1], arguments[2], arguments[3],
                   count > 4 ? std::stoi(arguments[4]) : 5);
  } catch (const malina::base::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
