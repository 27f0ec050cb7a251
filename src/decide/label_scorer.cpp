#include "decide/label_scorer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/log_sum.h"
#include "decide/text_check.h"

namespace malina::decide {

namespace {

double log_sum(std::span<const double> values) { return base::log_sum(values); }

std::vector<double> softmax(std::span<const double> scores, double temperature) {
  std::vector<double> scaled(scores.begin(), scores.end());
  for (double& value : scaled) value /= temperature;
  const double whole = log_sum(scaled);
  for (double& value : scaled) value = std::exp(value - whole);
  return scaled;
}

double score_confidence(std::span<const double> probabilities, std::size_t best) {
  const std::size_t levels = probabilities.size();
  double spread = 0;
  double even = 0;
  for (std::size_t i = 0; i < levels; ++i) {
    const auto level = static_cast<double>(i);
    spread += probabilities[i] * std::abs(level - static_cast<double>(best));
    even += std::abs(level - static_cast<double>(levels - 1) / 2) / static_cast<double>(levels);
  }
  return std::max(0.0, 1 - spread / even);
}

}  // namespace

LabelScorer::LabelScorer(PromptSource source, std::shared_ptr<const Question> question,
                         std::size_t context)
    : source_(std::move(source)),
      question_(std::move(question)),
      context_(context),
      labels_(label_tokens(source_, labels_of(*question_))) {
  for (const auto& label : labels_.labels) longest_label_ = std::max(longest_label_, label.size());
}

std::size_t LabelScorer::prompts() const {
  return question_->multiple ? question_->options.size() : 1;
}

std::vector<std::vector<Token>> LabelScorer::prompts_of(std::string_view text) const {
  std::vector<std::vector<Token>> prompts;
  const auto add = [&](const Option* option) {
    std::vector<Token>& tokens =
        prompts.emplace_back(prompt_tokens(source_, message_of(*question_, text, option)));
    const auto& replaced = labels_.replaced_tokens;
    if (tokens.size() < replaced.size() ||
        !std::equal(replaced.rbegin(), replaced.rend(), tokens.rbegin()))
      throw base::Error(base::Fault::unsupported,
                        "the end of the prompt depends on the text in this model's template");
    tokens.resize(tokens.size() - replaced.size());
  };
  if (!question_->multiple) add(nullptr);
  for (std::size_t i = 0; question_->multiple && i < question_->options.size(); ++i)
    add(&question_->options[i]);
  return prompts;
}

std::string LabelScorer::refusal_of(const std::vector<std::vector<Token>>& prompts) const {
  std::size_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
  if (longest + longest_label_ <= context_) return "";
  return fmt::format(
      "the text with its question has {} tokens and the longest label {}, but the context holds {}",
      longest, longest_label_, context_);
}

LabelScorer::Batch LabelScorer::ask(std::span<const std::string> texts, bool prior_known) const {
  Batch batch;
  std::vector<std::vector<Token>> all;
  for (const std::string& text : texts) {
    std::string& refusal = batch.refusals.emplace_back();
    std::size_t& count = batch.prompt_tokens.emplace_back(0);
    refusal = refusal_of_text(text);
    if (!refusal.empty()) continue;
    std::vector<std::vector<Token>> prompts = prompts_of(text);
    refusal = refusal_of(prompts);
    if (!refusal.empty()) continue;
    for (auto& prompt : prompts) {
      count += prompt.size();
      all.push_back(std::move(prompt));
    }
  }
  if (all.empty()) return batch;
  batch.with_prior = question_->subtract_prior && !prior_known;
  for (std::size_t i = 0; batch.with_prior && i < kContentFree.size(); ++i)
    for (auto& prompt : prompts_of(kContentFree[i])) all.push_back(std::move(prompt));
  share_beginning(batch, all);
  return batch;
}

LabelScorer::Batch LabelScorer::ask_prior() const {
  Batch batch;
  std::vector<std::vector<Token>> all;
  for (const std::string_view text : kContentFree)
    for (auto& prompt : prompts_of(text)) all.push_back(std::move(prompt));
  batch.with_prior = true;
  share_beginning(batch, all);
  return batch;
}

// The tokens with which all begin are the prompt; what is a prompt's own is read before its labels.
void LabelScorer::share_beginning(Batch& batch,
                                  const std::vector<std::vector<Token>>& prompts) const {
  std::size_t shared = prompts.front().size();
  for (const auto& prompt : prompts) {
    const auto [end, other] =
        std::mismatch(prompt.begin(), prompt.end(), prompts.front().begin(), prompts.front().end());
    shared = std::min(shared, static_cast<std::size_t>(end - prompt.begin()));
  }
  if (shared == 0)
    throw base::Error(base::Fault::unsupported,
                      "the prompts of this model's template have no beginning in common");
  const auto begin = static_cast<std::ptrdiff_t>(shared);
  batch.generation.prompt.assign(prompts.front().begin(), prompts.front().begin() + begin);
  for (const auto& prompt : prompts)
    for (const auto& label : labels_.labels) {
      engine::Continuation& each = batch.generation.continuations.emplace_back();
      each.tokens.assign(prompt.begin() + begin, prompt.end());
      each.scored_from = each.tokens.size();
      each.tokens.insert(each.tokens.end(), label.begin(), label.end());
    }
}

// Of the text that is `index` among those that were asked.
LabelScores LabelScorer::sums(const engine::Finished& finished, std::size_t index) const {
  const std::size_t labels = labels_.labels.size();
  LabelScores result;
  for (std::size_t prompt = 0; prompt < prompts(); ++prompt) {
    std::vector<double>& each = result.emplace_back();
    for (std::size_t label = 0; label < labels; ++label) {
      const auto& tokens = finished.continuations[(index * prompts() + prompt) * labels + label];
      each.push_back(std::accumulate(tokens.begin(), tokens.end(), 0.0));
    }
  }
  return result;
}

LabelScores LabelScorer::normalised(const LabelScores& sums) const {
  LabelScores result = sums;
  if (question_->normalisation == Normalisation::sum) return result;
  for (auto& prompt : result)
    for (std::size_t label = 0; label < prompt.size(); ++label)
      prompt[label] /= static_cast<double>(labels_.labels[label].size());
  return result;
}

// The logarithm of the mean over the texts without content.
LabelScores LabelScorer::prior_at(const engine::Finished& finished, std::size_t first) const {
  std::vector<LabelScores> each;
  for (std::size_t i = 0; i < kContentFree.size(); ++i)
    each.push_back(normalised(sums(finished, first + i)));
  LabelScores result = each.front();
  for (std::size_t prompt = 0; prompt < result.size(); ++prompt)
    for (std::size_t label = 0; label < result[prompt].size(); ++label) {
      std::vector<double> values;
      for (const LabelScores& scores : each) values.push_back(scores[prompt][label]);
      result[prompt][label] = log_sum(values) - std::log(static_cast<double>(values.size()));
    }
  return result;
}

LabelScores LabelScorer::prior(const Batch& batch, const engine::Finished& finished) const {
  const auto asked = static_cast<std::size_t>(std::ranges::count(batch.refusals, std::string()));
  return prior_at(finished, asked);
}

std::vector<LabelScores> LabelScorer::scores(const Batch& batch, const engine::Finished& finished,
                                             const LabelScores& prior) const {
  LabelScores taken_off = prior;
  if (batch.with_prior && taken_off.empty()) taken_off = this->prior(batch, finished);
  std::vector<LabelScores> result;
  std::size_t index = 0;
  for (const std::string& refusal : batch.refusals) {
    LabelScores& scores = result.emplace_back();
    if (!refusal.empty()) continue;
    scores = normalised(sums(finished, index++));
    for (std::size_t prompt = 0; prompt < taken_off.size(); ++prompt)
      for (std::size_t label = 0; label < scores[prompt].size(); ++label)
        scores[prompt][label] -= taken_off[prompt][label];
  }
  return result;
}

std::vector<Answer> LabelScorer::answers(const Batch& batch, const engine::Finished& finished,
                                         const LabelScores& prior,
                                         const Calibration* calibration) const {
  const std::vector<LabelScores> all = scores(batch, finished, prior);
  std::vector<Answer> answers;
  std::size_t index = 0;
  for (std::size_t text = 0; text < all.size(); ++text) {
    Answer& answer = answers.emplace_back();
    if (!batch.refusals[text].empty()) continue;
    std::vector<double> masses;
    for (const auto& prompt : sums(finished, index)) masses.push_back(std::exp(log_sum(prompt)));
    ++index;
    answer = answer_of(all[text], masses, calibration);
    answer.prompt_tokens = batch.prompt_tokens[text];
  }
  return answers;
}

Answer LabelScorer::answer_of(const LabelScores& scores, std::span<const double> masses,
                              const Calibration* calibration) const {
  Answer answer;
  const double temperature = calibration != nullptr ? calibration->temperature : 1;
  answer.label_mass = std::min(1.0, *std::ranges::min_element(masses));
  answer.calibrated = calibration != nullptr;
  const bool two = question_->type == QuestionType::predicate || question_->multiple;
  if (two) {
    answer.probability = answer.confidence = 1;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const double yes = softmax(scores[i], temperature)[0];
      answer.probabilities.push_back(yes);
      answer.probability *= std::max(yes, 1 - yes);
      answer.confidence = std::min(answer.confidence, std::abs(2 * yes - 1));
      if (yes > 0.5) answer.chosen.push_back(i);
    }
    answer.holds = answer.probabilities[0] > 0.5;
  } else {
    answer.probabilities = softmax(scores[0], temperature);
  }
  const auto& each = answer.probabilities;
  answer.best = static_cast<std::size_t>(std::ranges::max_element(each) - each.begin());
  if (!two) {
    const double even = 1 / static_cast<double>(each.size());
    answer.probability = each[answer.best];
    answer.confidence = (answer.probability - even) / (1 - even);
    for (std::size_t i = 0; i < each.size(); ++i) answer.score += static_cast<double>(i) * each[i];
    if (question_->type == QuestionType::score)
      answer.confidence = score_confidence(each, answer.best);
  }
  const auto threshold = calibration != nullptr && calibration->abstain_below
                             ? calibration->abstain_below
                             : question_->abstain_below;
  answer.abstain = threshold && answer.probability < *threshold;
  return answer;
}

}  // namespace malina::decide
