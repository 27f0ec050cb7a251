// What more texts would bring to a tagger.
#include "base/random.h"
#include "base/shuffle.h"
#include "tune/span_judgement.h"
#include "tune/span_tuning_part.h"
#include "tune/tuning_curve.h"

namespace malina::tune {

std::vector<std::size_t> curve_order(std::size_t texts, std::uint64_t seed) {
  base::Random random(seed + 4);
  return base::shuffled_order(texts, random);
}

void SpanTuning::measure_curve(const SpanEvents& events) {
  const SpanTexts& data = training_->data;
  const auto sizes = curve_sizes(data.size(), report_.types.size());
  if (sizes.empty()) return;
  const std::vector<std::size_t> order = curve_order(data.size(), request_.recipe.seed);
  const auto tags = tags_of(data, data.size());
  std::vector<eval::LearningPoint> points;
  for (const std::size_t size : sizes) {
    if (events.stage) events.stage("learning curve", points.size(), sizes.size());
    const bool all = size == data.size();
    std::vector<std::string> texts;
    std::vector<std::vector<std::uint32_t>> texts_tags;
    for (std::size_t i = 0; i < (all ? 0 : size); ++i) {
      texts.push_back(data.texts[order[i]]);
      texts_tags.push_back(tags[order[i]]);
    }
    const auto scored =
        all ? validation_scores_.front()
            : scored_by(eval::LinearTagger::fit(texts, texts_tags, report_.types.size(),
                                                device_.context().pool, pause_.stop()),
                        validation_->data.texts);
    const Judged judged = judge(validation_->data, scored, report_.types);
    eval::LearningPoint& point = points.emplace_back(eval::LearningPoint{size, {}});
    for (const bool right : judged.right) point.wrong.push_back(right ? 0 : 1);
  }
  report_.curve =
      curve_report({Method::linear}, points, request_.recipe.seed, device_.context().pool);
}

}  // namespace malina::tune
