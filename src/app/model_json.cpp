#include "app/model_json.h"

namespace malina::app {

Json model_json(const platform::ModelRecord& model) {
  Json files = Json::array();
  for (const auto& file : model.files)
    files.push_back({{"path", file.path.string()},
                     {"size_bytes", file.facts.size_bytes},
                     {"digest", file.digest.hex()}});
  return {{"name", model.name},
          {"digest", model.digest.hex()},
          {"size_bytes", model.size_bytes},
          {"family", model.family},
          {"encoding", model.encoding},
          {"imported_at", utc_time(model.imported_at)},
          {"source", model.source},
          {"base", model.base ? Json(model.base->hex()) : Json()},
          {"linked", model.linked},
          {"files", std::move(files)}};
}

std::string short_digest(const base::Digest& digest) { return digest.hex().substr(0, 12); }

}  // namespace malina::app
