// The linear baseline that every tuned model is measured against, and the linear probe on frozen
// features: logistic regression on TF-IDF of texts; on dense rows this or a discriminant analysis.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/thread_pool.h"
#include "eval/logistic_regression.h"
#include "eval/probability_table.h"
#include "eval/text_features.h"

namespace malina::eval {

// Dense features as rows of one matrix. Borrows.
struct DenseRows {
  std::span<const float> values;  // [rows, width]
  std::size_t width = 0;

  std::size_t rows() const { return width == 0 ? 0 : values.size() / width; }
  std::span<const float> row(std::size_t i) const { return values.subspan(i * width, width); }
};

// Each column less its mean, divided by its standard deviation and by the square root of the width,
// so that a row has a length of about 1, as a text's has; a column that does not vary counts for
// nothing.
struct ColumnScaling {
  std::vector<float> means;   // [width]
  std::vector<float> scales;  // [width]: what a difference from the mean is multiplied by
};

struct LinearOptions {
  // Where both this and the shrinkage are 0, the better one is taken of the best cost and, of dense
  // rows, the best shrinkage, by the same rows.
  // liblinear's C; 0 chooses it among powers of 2 from 1/128 to 2048: the one of the least negative
  // log-likelihood on rows held out, at the temperature that suits them. Held out are five folds in
  // turn; of more than 2,000 rows one part, of at most 4,000 rows, with as many to learn from.
  double cost = 0;
  // Not 0: a discriminant analysis with it (discriminant_analysis.h), of dense rows.
  double shrinkage = 0;
  double temperature = 1;  // of the discriminant analysis
  // Of the folds. Nothing else is random.
  std::uint64_t seed = 1;
  Stop stop = {};  // LogisticOptions::stop
};

// How it is fitted: with a cost, or with a shrinkage and a temperature.
struct LinearPenalty {
  double cost = 0, shrinkage = 0, temperature = 1;
  bool discriminant() const { return shrinkage > 0; }
};

// Immutable once made; many threads may ask.
class LinearBaseline {
 public:
  // labels: one for each text; what differs in a byte is another label. Throws invalid_argument
  // where there are not as many labels as texts, or fewer than two different ones, or a label is
  // longer than kLongestLabel bytes; cancelled where it was stopped.
  static LinearBaseline fit(std::span<const std::string> texts, std::span<const std::string> labels,
                            const LinearOptions& options, base::ThreadPool& pool);
  // The probe. Besides, throws invalid_argument for a value that is not finite.
  static LinearBaseline fit_dense(const DenseRows& rows, std::span<const std::string> labels,
                                  const LinearOptions& options, base::ThreadPool& pool);

  // Ascending by their bytes: the columns of all probabilities.
  std::span<const std::string> labels() const { return labels_; }
  double cost() const { return penalty_.cost; }            // 0 of a discriminant analysis
  double shrinkage() const { return penalty_.shrinkage; }  // 0 of a logistic regression
  // To fit others in the same way.
  LinearOptions options(std::uint64_t seed) const {
    return {.cost = penalty_.cost,
            .shrinkage = penalty_.shrinkage,
            .temperature = penalty_.temperature,
            .seed = seed};
  }

  // [labels], sum 1, not calibrated (logistic_regression.h). A baseline of texts is asked for
  // texts, a probe for features of its width; the wrong question is invalid_argument.
  std::vector<double> probabilities(std::string_view text) const;
  std::vector<double> probabilities(std::span<const float> features) const;
  ProbabilityTable probabilities(std::span<const std::string> texts, base::ThreadPool& pool) const;
  ProbabilityTable probabilities(const DenseRows& rows, base::ThreadPool& pool) const;

  // One file, written aside, synced and renamed. load throws not_found, io, and corrupt_file for
  // whatever save does not write; the file ends with the SHA-256 of all before it.
  void save(const std::filesystem::path& path) const;
  static LinearBaseline load(const std::filesystem::path& path);
  // The same without the file; `name` is for messages.
  std::string bytes() const;
  static LinearBaseline parse(std::string_view bytes, const std::string& name);

  static constexpr std::size_t kLongestLabel = 4096;

 private:
  using Features = std::variant<TextFeatures, ColumnScaling>;
  LinearBaseline(Features features, LogisticWeights weights, std::vector<std::string> labels,
                 const LinearPenalty& penalty);
  template <class Examples>
  static LinearBaseline fit_examples(const Examples& examples, std::span<const std::string> labels,
                                     const LinearOptions& options, base::ThreadPool& pool);

  Features features_;
  LogisticWeights weights_;
  std::vector<std::string> labels_;
  LinearPenalty penalty_;
};

// The probabilities of every example from a model that never saw it: of `folds` stratified parts
// each is left out once. Columns are the classes of index_classes (stratified.h). Vocabulary and
// scaling are of the other folds too. Cost or shrinkage, where both are 0, is chosen once on all
// examples: it is one number, which tells nothing of one example.
ProbabilityTable out_of_fold_probabilities(std::span<const std::string> texts,
                                           std::span<const std::string> labels, std::size_t folds,
                                           const LinearOptions& options, base::ThreadPool& pool);
ProbabilityTable out_of_fold_probabilities(const DenseRows& rows,
                                           std::span<const std::string> labels, std::size_t folds,
                                           const LinearOptions& options, base::ThreadPool& pool);

}  // namespace malina::eval
