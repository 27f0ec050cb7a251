#include "platform/job_failure.h"

#include <fmt/format.h>

#include <algorithm>

namespace malina::platform {

namespace {

constexpr std::size_t kMostErrors = 10;  // rows that a failure names

std::string rows_of(const tune::PartReport& part) {
  std::string text;
  for (std::size_t i = 0; i < std::min(part.errors.size(), kMostErrors); ++i)
    text += fmt::format("{}line {}: {}", i == 0 ? "" : "; ", part.errors[i].place.line,
                        part.errors[i].what);
  if (part.bad_rows > kMostErrors) text += fmt::format("; {} more", part.bad_rows - kMostErrors);
  return text;
}

std::string parameter_of(std::string_view part) {
  return part == "validation" ? "validation_file" : "training_file";
}

}  // namespace

JobError refusal_of(const DataReport& report) {
  JobError result;
  for (const tune::Finding& finding : report.findings) {
    if (finding.severity != tune::Severity::error) continue;
    if (result.parameter.empty()) {
      result.parameter = parameter_of(finding.part);
      result.code = "invalid_" + result.parameter;
      result.message = "the " + finding.part + " file is refused: ";
    } else {
      result.message += "; ";
    }
    result.message += finding.what;
    if (finding.kind != "bad_rows") continue;
    for (const tune::PartReport& part : report.parts)
      if (part.name == finding.part) result.message += " (" + rows_of(part) + ")";
  }
  return result;
}

JobError failure_of(const base::Error& error, const std::string& file) {
  const base::ErrorDetails& details = error.details();
  if (!details.code.empty()) return {details.code, error.what(), details.parameter};
  switch (error.fault()) {
    case base::Fault::out_of_memory:
      return {"out_of_memory", error.what(), ""};
    case base::Fault::invalid_argument:  // of no one row: there are too few, or labels that nobody
                                         // may ask
      return {"invalid_" + (file.empty() ? "training_file" : file), error.what(),
              file.empty() ? "training_file" : file};
    case base::Fault::corrupt_file:
    case base::Fault::unsupported:
      if (!file.empty()) return {"invalid_" + file, error.what(), file};
      if (error.fault() == base::Fault::unsupported) return {"unsupported", error.what(), ""};
      return {"invalid_model", error.what(), "model"};
    case base::Fault::not_found:
      return {"model_not_found", error.what(), "model"};
    case base::Fault::already_exists:
      return {"name_taken", error.what(), "suffix"};
    default:
      return {"server_error", error.what(), ""};
  }
}

}  // namespace malina::platform
