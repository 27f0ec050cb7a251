// Which rung of the ladder is kept, and how sure its answers are.
#include <fmt/format.h>

#include <algorithm>

#include "tune/tuning_part.h"

namespace malina::tune {

// The cheapest rung that no dearer one beats significantly.
void Tuning::choose() {
  const std::size_t last = report_.rungs.size() - 1;
  if (request_.method != Method::automatic) {
    report_.chosen = last;
    report_.reason = fmt::format("{} was asked for", name(report_.rungs[last].members));
    return;
  }
  const auto left_out = [&](const Rung& rung) { return few_out_of_scope_ && rung.all.rows() == 0; };
  for (std::size_t i = 0; i <= last; ++i) {
    const Rung& rung = report_.rungs[i];
    if (left_out(rung)) continue;
    bool beaten = false;
    for (std::size_t j = i + 1; j <= last && !beaten; ++j) {
      if (left_out(report_.rungs[j])) continue;
      const Comparison comparison =
          compare(all_classes_, validation_->classes, rung, report_.rungs[j]);
      beaten = comparison.better && comparison.p_value < request_.significance;
    }
    if (beaten) continue;
    report_.chosen = i;
    report_.reason =
        i == last
            ? fmt::format(
                  "every cheaper method is significantly beaten by a dearer one, up to {} (p < {})",
                  name(rung.members), request_.significance)
            : fmt::format(
                  "no dearer method is significantly better than {} (p < {}) on the same rows",
                  name(rung.members), request_.significance);
    prefer_blend();
    if (request_.up_to != Method::labels)
      report_.reason += fmt::format("; none dearer than {} was to be tried", name(request_.up_to));
    return;
  }
}

std::optional<Likelier> likelier_with_linear(std::span<const Rung> rungs, std::size_t chosen,
                                             std::span<const std::uint32_t> all,
                                             std::span<const std::uint32_t> validation) {
  const std::vector<Method> together{Method::linear, Method::probe};
  const auto blend = std::find_if(rungs.begin(), rungs.end(),
                                  [&](const Rung& rung) { return rung.members == together; });
  if (rungs[chosen].members != std::vector{Method::probe} || blend == rungs.end())
    return std::nullopt;
  const auto loss = [&](const Rung& rung) {
    const bool on_all = rung.all.rows() > 0;
    const auto& table = on_all ? rung.all : rung.probabilities;
    const auto classes = on_all ? all : validation;
    return eval::measure_calibration(
               classes, eval::with_temperature(table, eval::fit_temperature(classes, table)))
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
  const auto found =
      likelier_with_linear(report_.rungs, report_.chosen, all_classes_, validation_->classes);
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
