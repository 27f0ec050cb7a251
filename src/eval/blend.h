// Several classifiers as one: logarithmic opinion pool (Genest and Zidek, 1986), with weights from
// validation data.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "eval/probability_table.h"

namespace malina::eval {

// p(class) is in proportion to the product over members of p_member(class)^weight. Tables: one for
// each weight, of the same rows and classes. A probability below 1e-9 counts as that.
ProbabilityTable blend(std::span<const ProbabilityTable* const> members,
                       std::span<const double> weights);

// The weights, at least 0, that make the labels likeliest: the negative log-likelihood is convex in
// them, and is minimised by projected Newton steps. A weight of all members together is a
// temperature too. A hundredth of a row speaks for equal weights that sum to 1, so that rows which
// all agree leave a finite answer. Throws base::Error(invalid_argument) where sizes differ or there
// is nothing.
std::vector<double> fit_blend(std::span<const std::uint32_t> labels,
                              std::span<const ProbabilityTable* const> members);

// The probabilities of each row with weights that were fitted on the other half of the rows
// (stratified by label, from `seed`): what a blend is compared by on the rows it is fitted on.
ProbabilityTable cross_fitted_blend(std::span<const std::uint32_t> labels,
                                    std::span<const ProbabilityTable* const> members,
                                    std::uint64_t seed);

}  // namespace malina::eval
