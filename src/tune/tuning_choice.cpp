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

// The linear model costs next to nothing beside the probe, and is there in any case: of the probe
// alone and both together the one by which held-out rows are likelier.
void Tuning::prefer_blend() {
  const auto place = [&](std::vector<Method> members) {
    const auto found = std::find_if(report_.rungs.begin(), report_.rungs.end(),
                                    [&](const Rung& rung) { return rung.members == members; });
    return static_cast<std::size_t>(found - report_.rungs.begin());
  };
  const std::size_t blend = place({Method::linear, Method::probe});
  if (report_.chosen != place({Method::probe}) || blend == report_.rungs.size()) return;
  const auto loss = [&](const Rung& rung) {
    const bool all = rung.all.rows() > 0;
    const auto& table = all ? rung.all : rung.probabilities;
    const auto& classes = all ? all_classes_ : validation_->classes;
    return eval::measure_calibration(
               classes, eval::with_temperature(table, eval::fit_temperature(classes, table)))
        .negative_log_likelihood;
  };
  const double alone = loss(report_.rungs[report_.chosen]), together = loss(report_.rungs[blend]);
  if (together >= alone) return;
  report_.chosen = blend;
  report_.reason += fmt::format(
      "; together with linear, which costs next to nothing, held-out rows are likelier ({:.3f} "
      "nats in place of {:.3f})",
      together, alone);
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
