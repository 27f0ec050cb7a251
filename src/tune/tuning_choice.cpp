// Which rung of the ladder is kept, and how sure its answers are.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "eval/metrics.h"
#include "tune/tuning_part.h"

namespace malina::tune {

namespace {

eval::ProbabilityTable tempered(std::span<const std::uint32_t> classes,
                                const eval::ProbabilityTable& table) {
  return eval::with_temperature(table, eval::fit_temperature(classes, table));
}

std::vector<double> tempered_brier(std::span<const std::uint32_t> classes,
                                   const eval::ProbabilityTable& table) {
  return eval::brier_scores(classes, tempered(classes, table));
}

bool in_turn(const Rung& first, const Rung& second) {
  return first.all.rows() > 0 && second.all.rows() > 0;
}

bool always_right(const RungRows& rows, const Rung& rung, bool all) {
  return std::ranges::equal(eval::answers(all ? rung.all : rung.probabilities),
                            all ? rows.all : rows.validation);
}

}  // namespace

Comparison compare(const RungRows& rows, const Rung& first, const Rung& second) {
  if (in_turn(first, second)) return compare(rows.all, first.all, second.all);
  return compare(rows.validation, first.probabilities, second.probabilities);
}

Comparison compare_probabilities(const RungRows& rows, const Rung& first, const Rung& second) {
  const bool all = in_turn(first, second);
  const auto classes = all ? rows.all : rows.validation;
  auto differences = tempered_brier(classes, all ? first.all : first.probabilities);
  const auto of_second = tempered_brier(classes, all ? second.all : second.probabilities);
  for (std::size_t i = 0; i < differences.size(); ++i) differences[i] -= of_second[i];
  const double gain = std::accumulate(differences.begin(), differences.end(), 0.0);
  return {eval::paired_t_p(differences), gain > 0, gain < 0};
}

std::optional<Beaten> beats(const RungRows& rows, const Rung& first, const Rung& second,
                            double significance) {
  const Comparison answers = compare(rows, first, second);
  if (answers.better && answers.p_value < significance) return Beaten{true, answers.p_value};
  if (answers.worse || always_right(rows, first, in_turn(first, second))) return std::nullopt;
  const Comparison probabilities = compare_probabilities(rows, first, second);
  if (!probabilities.better || probabilities.p_value >= significance) return std::nullopt;
  return Beaten{false, probabilities.p_value};
}

double mean_brier(const RungRows& rows, const Rung& rung) {
  const bool all = rung.all.rows() > 0;
  const auto scores =
      tempered_brier(all ? rows.all : rows.validation, all ? rung.all : rung.probabilities);
  return std::accumulate(scores.begin(), scores.end(), 0.0) / static_cast<double>(scores.size());
}

RungRows Tuning::rung_rows() const { return {all_classes_, validation_->classes}; }

Choice choose(std::span<const Rung> rungs, const RungRows& rows, double significance,
              bool on_all_rows) {
  Choice choice;
  for (std::size_t i = 1; i < rungs.size(); ++i) {
    if (on_all_rows && rungs[i].all.rows() == 0) continue;
    const Rung& kept = rungs[choice.rung];
    const auto beaten = beats(rows, kept, rungs[i], significance);
    if (!beaten) continue;
    choice = {i, fmt::format("{} is significantly better than {} in {} (p = {:.2g}); ",
                             name(rungs[i].members), name(kept.members),
                             beaten->by_answers ? "answers" : "probabilities", beaten->p_value)};
  }
  choice.reason += fmt::format(
      "no dearer method is significantly better than {} (p < {}) on the same rows, in answers "
      "or in probabilities",
      name(rungs[choice.rung].members), significance);
  return choice;
}

void Tuning::choose() {
  if (request_.method != Method::automatic) {
    report_.chosen = report_.rungs.size() - 1;
    report_.reason = fmt::format("{} was asked for", name(report_.chosen_rung().members));
    return;
  }
  Choice choice =
      tune::choose(report_.rungs, rung_rows(), request_.significance, few_out_of_scope_);
  report_.chosen = choice.rung;
  report_.reason = std::move(choice.reason);
  prefer_blend();
  if (request_.up_to != Method::labels)
    report_.reason += fmt::format("; none dearer than {} was to be tried", name(request_.up_to));
}

std::optional<Likelier> likelier_with_linear(std::span<const Rung> rungs, std::size_t chosen,
                                             const RungRows& rows) {
  const std::vector<Method> together{Method::linear, Method::probe};
  const auto blend = std::find_if(rungs.begin(), rungs.end(),
                                  [&](const Rung& rung) { return rung.members == together; });
  if (rungs[chosen].members != std::vector{Method::probe} || blend == rungs.end())
    return std::nullopt;
  const auto loss = [&](const Rung& rung) {
    const bool on_all = rung.all.rows() > 0;
    const auto classes = on_all ? rows.all : rows.validation;
    return eval::measure_calibration(classes,
                                     tempered(classes, on_all ? rung.all : rung.probabilities))
        .negative_log_likelihood;
  };
  const Likelier result{.rung = static_cast<std::size_t>(blend - rungs.begin()),
                        .alone = loss(rungs[chosen]),
                        .together = loss(*blend)};
  return result.together < result.alone ? std::optional(result) : std::nullopt;
}

// The linear model costs next to nothing beside the probe, and is there in any case: of the probe
// alone and both together the one by which held-out rows are likelier.
void Tuning::prefer_blend() {
  const auto found = likelier_with_linear(report_.rungs, report_.chosen, rung_rows());
  if (!found) return;
  report_.chosen = found->rung;
  report_.reason += fmt::format(
      "; together with linear, which costs next to nothing, held-out rows are likelier ({:.3f} "
      "nats in place of {:.3f})",
      found->together, found->alone);
}

void Tuning::calibrate() {
  const Rung& rung = report_.chosen_rung();
  const eval::ProbabilityTable& chosen = rung.all.rows() > 0 ? rung.all : rung.probabilities;
  const auto& classes = rung.all.rows() > 0 ? all_classes_ : validation_->classes;
  report_.calibration = eval::fit_calibration(classes, chosen, request_.calibration);
  report_.before = eval::measure_calibration(classes, chosen);
  const auto calibrated = eval::with_temperature(chosen, report_.calibration.temperature);
  report_.after = eval::measure_calibration(classes, calibrated);
  report_.answers = answer_report(classes, calibrated);
  if (report_.calibration.out_of_scope)
    report_.scope = eval::measure_scope(classes, calibrated, report_.calibration);
}

}  // namespace malina::tune
