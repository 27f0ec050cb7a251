#include "tune/recipe_json.h"

#include "model/adapter_tensors.h"

namespace malina::tune {

using Json = nlohmann::ordered_json;

namespace {

void add_adapter(const model::LowRankOptions& adapter, Json& json) {
  Json targets = Json::array();
  for (std::size_t i = 0; i < model::kProjections; ++i)
    if (adapter.targets[i]) targets.push_back(name(static_cast<model::Projection>(i)));
  json["rank"] = adapter.rank;
  json["alpha"] = adapter.alpha;
  json["rank_stabilised"] = adapter.rank_stabilised;
  json["targets"] = targets;
}

}  // namespace

// What is not looked at is left out.
Json to_json(const Recipe& recipe) {
  Json json;
  if (recipe.full)
    json["full"] = true;
  else
    add_adapter(recipe.adapter, json);
  json["learning_rate"] = recipe.learning_rate;
  if (!recipe.full) json["b_ratio"] = recipe.b_ratio;
  json.update({{"weight_decay", recipe.optimizer.weight_decay},
               {"beta1", recipe.optimizer.beta1},
               {"beta2", recipe.optimizer.beta2},
               {"epsilon", recipe.optimizer.epsilon},
               {"clip", recipe.clip},
               {"epochs", recipe.epochs},
               {"batch", recipe.batch},
               {"warm_up", recipe.warm_up},
               {"seed", recipe.seed},
               {"rows", recipe.rows},
               {"share_prefix", recipe.share_prefix}});
  if (!recipe.full) json["pooling"] = name(recipe.pooling);
  json["precision"] = recipe.precision == math::Precision::exact ? "exact" : "fast";
  return json;
}

}  // namespace malina::tune
