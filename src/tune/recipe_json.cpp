#include "tune/recipe_json.h"

#include "model/adapter_tensors.h"

namespace malina::tune {

namespace {

nlohmann::ordered_json full_json(const Recipe& recipe) {
  return {{"full", true},
          {"learning_rate", recipe.learning_rate},
          {"weight_decay", recipe.optimizer.weight_decay},
          {"beta1", recipe.optimizer.beta1},
          {"beta2", recipe.optimizer.beta2},
          {"epsilon", recipe.optimizer.epsilon},
          {"clip", recipe.clip},
          {"epochs", recipe.epochs},
          {"batch", recipe.batch},
          {"warm_up", recipe.warm_up},
          {"seed", recipe.seed},
          {"rows", recipe.rows},
          {"share_prefix", recipe.share_prefix},
          {"precision", "exact"}};
}

}  // namespace

nlohmann::ordered_json to_json(const Recipe& recipe) {
  if (recipe.full) return full_json(recipe);
  nlohmann::ordered_json targets = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < model::kProjections; ++i)
    if (recipe.adapter.targets[i]) targets.push_back(name(static_cast<model::Projection>(i)));
  return {{"rank", recipe.adapter.rank},
          {"alpha", recipe.adapter.alpha},
          {"rank_stabilised", recipe.adapter.rank_stabilised},
          {"targets", targets},
          {"learning_rate", recipe.learning_rate},
          {"b_ratio", recipe.b_ratio},
          {"weight_decay", recipe.optimizer.weight_decay},
          {"beta1", recipe.optimizer.beta1},
          {"beta2", recipe.optimizer.beta2},
          {"epsilon", recipe.optimizer.epsilon},
          {"clip", recipe.clip},
          {"epochs", recipe.epochs},
          {"batch", recipe.batch},
          {"warm_up", recipe.warm_up},
          {"seed", recipe.seed},
          {"rows", recipe.rows},
          {"share_prefix", recipe.share_prefix},
          {"pooling", name(recipe.pooling)},
          {"precision", recipe.precision == math::Precision::exact ? "exact" : "fast"}};
}

}  // namespace malina::tune
