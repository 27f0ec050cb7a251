// What both kinds of tuning need of the platform: names, places, and a base with its weights.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "model/model.h"
#include "platform/model_store.h"
#include "platform/progress.h"

namespace malina::platform {

struct ModelFile;
struct Processor;

std::shared_ptr<const model::Model> load_for_tuning(const ModelFile& file, Processor& processor,
                                                    const ProgressSink& progress);
// By other threads than the device's, which have one caller at a time.
std::shared_ptr<const model::Model> load_for_tuning(const ModelFile& file, math::Device& device,
                                                    base::ThreadPool& loaders,
                                                    const ProgressSink& progress);
std::shared_ptr<const model::Model> load_for_tuning(
    std::shared_ptr<const format::Checkpoint> checkpoint, math::Device& device,
    base::ThreadPool& loaders, const ProgressSink& progress);
// 1 to 64 letters, digits, '-', '_' or '.', neither of the last two first, and no name of a
// snapshot.
bool is_suffix(std::string_view text);
// Throws invalid_argument where it is none.
void check_suffix(const std::string& suffix);
std::string base_name(const ResolvedModel& base);
std::string licence_of(const ModelFile& file);  // "" where the file states none
std::string time_now();                         // UTC, ISO 8601

// Absolute, without what a trailing slash leaves behind.
std::filesystem::path place_of(const std::filesystem::path& directory);
// Of the store's record of a model or an adapter that was tuned here.
inline constexpr std::string_view kTunedSource = "malina tune";
inline constexpr std::string_view kAdapterManifestName = "malina-adapter.json";
inline constexpr std::string_view kTunedModelName = "malina-model.json";  // of a whole model

// Throws already_exists where something is there, unless it may be replaced; invalid_argument where
// it is nothing that tuning wrote.
void check_free(const std::filesystem::path& directory, bool replace);
// `write` makes the directory that it is given. Where one stands already the new one is complete
// and on the disk before the old one goes.
void place_directory(const std::filesystem::path& directory,
                     const std::function<void(const std::filesystem::path&)>& write);

}  // namespace malina::platform
