#include "platform/adapter_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "model/adapter_gguf.h"
#include "model/peft.h"

namespace malina::platform {

using std::filesystem::path;

bool is_adapter(const path& place) {
  if (model::is_peft(place)) return true;
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(place, ignored)) return false;
  try {
    return model::is_gguf_adapter(format::Checkpoint::open(place)->metadata());
  } catch (const base::Error&) {
    return false;  // whoever opens it as a model says why it is none
  }
}

base::Error adapter_is_no_model(const path& place) {
  return {base::Fault::invalid_argument,
          fmt::format("{0}: is an adapter: put it into the store with 'malina import {0} --base "
                      "MODEL', and it runs as MODEL:NAME",
                      place.string())};
}

AdapterFile read_adapter(const path& place, const model::Model& model) {
  if (!model::is_peft(place))
    return {.tensors = model::read_gguf_adapter(place, model), .warnings = {}};
  model::PeftAdapter peft = model::read_peft(place, model);
  return {.tensors = std::move(peft.tensors),
          .peft = true,
          .base_name = std::move(peft.base_name),
          .warnings = std::move(peft.warnings)};
}

std::vector<path> adapter_files(const path& place) {
  if (!model::is_peft(place)) return {place};
  const path directory = model::peft_directory(place);
  std::vector<path> files{directory / "adapter_config.json",
                          directory / "adapter_model.safetensors"};
  const std::set<path> pickles{".bin", ".pt", ".pth"};
  std::vector<path> others;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const path name = entry.path().filename();
    if (entry.is_regular_file() && !name.string().starts_with('.') &&
        !pickles.contains(name.extension()) &&
        std::ranges::find(files, directory / name) == files.end())
      others.push_back(directory / name);
  }
  std::ranges::sort(others);
  files.insert(files.end(), others.begin(), others.end());
  return files;
}

}  // namespace malina::platform
