// What `malina families` tells: which model families this program runs, and what each of them does.
#pragma once

#include <string>
#include <vector>

namespace malina::platform {

struct FamilyReport {
  std::string name, title;
  std::string gguf;                       // general.architecture of its files
  std::vector<std::string> hugging_face;  // classes in config.json
  std::vector<std::string> mechanisms;    // in words
};

// By name.
std::vector<FamilyReport> report_families();

}  // namespace malina::platform
