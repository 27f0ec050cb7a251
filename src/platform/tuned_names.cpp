#include "platform/tuned_names.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "platform/platform.h"
#include "platform/tuning.h"

namespace malina::platform {

std::optional<TunedRecord> tuned_for(Platform& platform, const Caller& caller,
                                     std::string_view name) {
  if (!caller.may_use(name)) return std::nullopt;
  const auto directory = TunedClassifiers(platform.home()).find_name(name);
  if (!directory) return std::nullopt;
  TunedRecord record;
  try {
    record = tuned_record(*directory, std::string(name));
  } catch (const base::Error& error) {
    // Removed just now. Paths are nothing for strangers.
    if (error.fault() != base::Fault::not_found ||
        TunedClassifiers(platform.home()).find_name(name))
      throw;
    return std::nullopt;
  } catch (const std::filesystem::filesystem_error&) {
    return std::nullopt;
  }
  if (record.base_digest.empty()) return record;
  const auto models = platform.list_models();
  const auto base = std::find_if(models.begin(), models.end(), [&](const ModelRecord& model) {
    return model.digest.text() == record.base_digest;
  });
  if (base == models.end())
    throw base::Error(base::Fault::not_found,
                      fmt::format("{} was tuned on {} ({}), which is not in the store", record.name,
                                  record.base, record.base_digest));
  record.file = platform.resolve(base->name).file;
  return record;
}

bool is_only_tuned(Platform& platform, const Caller& caller, std::string_view name) {
  if (!caller.may_use(name) || !TunedClassifiers(platform.home()).find_name(name)) return false;
  const auto models = platform.list_models();
  return std::none_of(models.begin(), models.end(),
                      [&](const ModelRecord& model) { return model.name == name; });
}

std::vector<TunedRecord> list_tuned(Platform& platform) {
  const TunedClassifiers classifiers(platform.home());
  std::vector<TunedRecord> records;
  for (const std::string& name : classifiers.names()) {
    try {
      records.push_back(tuned_record(classifiers.place(name), name));
    } catch (const base::Error&) {
      // Being written, replaced or broken: who asks for it hears why.
    } catch (const std::filesystem::filesystem_error&) {
    }
  }
  return records;
}

}  // namespace malina::platform
