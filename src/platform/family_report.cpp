#include "platform/family_report.h"

#include <algorithm>

#include "model/architecture.h"

namespace malina::platform {

std::vector<FamilyReport> report_families() {
  std::vector<FamilyReport> reports;
  for (const model::Architecture* family : model::architectures())
    reports.push_back(
        {.name = std::string(family->name),
         .title = std::string(family->title),
         .gguf = std::string(family->gguf),
         .hugging_face = {family->hugging_face.classes.begin(), family->hugging_face.classes.end()},
         .mechanisms = model::mechanisms(*family)});
  std::sort(reports.begin(), reports.end(),
            [](const FamilyReport& a, const FamilyReport& b) { return a.name < b.name; });
  return reports;
}

}  // namespace malina::platform
