// malina.json: what stands beside the weights of a tuned classifier. What it answers, how it reads
// a text, how far it can be believed, and where it comes from.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tune/tuning.h"

namespace malina::tune {

inline constexpr std::string_view kManifestName = "malina.json";
inline constexpr std::string_view kReportName = "report.html";
inline constexpr std::string_view kLinearName = "linear.bin";
inline constexpr std::string_view kProbeName = "probe.bin";

// What a classifier needs to answer; the rest of the manifest is for people and audits.
struct ClassifierManifest {
  std::vector<Method> members;      // linear, probe, lora: one or several together; or labels
  std::vector<double> weights;      // of the members (eval/blend.h)
  std::vector<std::string> labels;  // ascending
  TextForm form;
  Pooling pooling = Pooling::last;
  // Of labels: what the model is asked, and what is taken off their log-probabilities, [labels];
  // empty: nothing is.
  std::string instructions;
  std::vector<double> prior;
  eval::Calibration calibration;
  std::string base_digest;  // "sha256:..."; empty where words alone are used
  std::string base_name;

  bool uses(Method method) const;
};

struct ManifestFacts {
  std::string name;  // of the classifier
  std::string base_name, base_digest, base_licence;
  std::string created;  // UTC
  std::string version;  // of this program
};
nlohmann::ordered_json manifest_json(const TuningReport& report, const TuningRequest& request,
                                     const ManifestFacts& facts);
// README.md, in the form of a model card of Hugging Face.
std::string model_card(const TuningReport& report, const TuningRequest& request,
                       const ManifestFacts& facts);

// Throws base::Error(corrupt_file, unsupported) naming the key.
ClassifierManifest parse_manifest(std::string_view text, const std::string& name);

}  // namespace malina::tune
