// Who may include whom. Holds the table of layers and reads every #include under src/.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace malina {
namespace {

struct Layer {
  std::string_view name;
  std::vector<std::string_view> above;  // the layers directly below it
  bool only_these = false;              // may include those alone, not what is below them
};

// "main > commands" reads: main may include commands, and all that is below commands.
const std::vector<Layer>& layers() {
  static const std::vector<Layer> table{
      {"main", {"commands", "serve"}},
      {"commands", {"platform", "base"}, true},
      {"serve", {"platform", "base"}, true},
      {"platform", {"tune", "govern"}},
      {"tune", {"eval"}},
      {"eval", {"decide"}},
      {"decide", {"engine"}},
      {"engine", {"model", "text"}},
      {"govern", {"store"}},
      {"store", {"base"}},
      {"text", {"format"}},
      {"model", {"format"}},
      {"format", {"math"}},
      {"math", {"base"}},
      {"base", {}},
  };
  return table;
}

const Layer* find_layer(std::string_view name) {
  const auto found = std::find_if(layers().begin(), layers().end(),
                                  [&](const Layer& layer) { return layer.name == name; });
  return found == layers().end() ? nullptr : &*found;
}

// The layer of a file, by its path under src/: the folder, but app/ holds two layers, main.cpp and
// the commands with what they share.
std::string layer_of(std::string_view path) {
  if (path == "app/main.cpp") return "main";
  const std::string folder(path.substr(0, path.find('/')));
  return folder == "app" ? "commands" : folder;
}

bool reaches(const Layer& from, std::string_view to) {
  return std::any_of(from.above.begin(), from.above.end(), [&](std::string_view below) {
    if (below == to) return true;
    const Layer* layer = find_layer(below);
    return layer != nullptr && !from.only_these && reaches(*layer, to);
  });
}

bool may_include(std::string_view from, std::string_view to) {
  const Layer* layer = find_layer(from);
  return layer != nullptr && (from == to || reaches(*layer, to));
}

using Sources = std::map<std::string, std::string>;  // path under src/ to text

// The file that a line includes, still in its quotes or angle brackets; empty where it includes
// none.
// `#define NAME "path.h"` counts too: it is how `#include NAME` comes by its file.
std::string included_file(const std::string& line) {
  static const std::regex include("\\s*#\\s*include\\s*(\"[^\"]*\"|<[^>]*>).*");
  static const std::regex define("\\s*#\\s*define\\s+\\w+\\s+(\"[^\"]*\\.(h|cpp|inc)\").*");
  std::smatch found;
  if (!std::regex_match(line, found, include) && !std::regex_match(line, found, define)) return {};
  return found[1];
}

// What is wrong with one line of one file; empty where nothing is.
std::string fault_of_line(const std::string& path, const std::string& line,
                          const Sources& sources) {
  const std::string quoted = included_file(line);
  if (quoted.empty()) return {};
  const std::string included = quoted.substr(1, quoted.size() - 2);
  if (quoted.front() == '<') {
    return sources.contains(included) ? quoted + " is our own: it stands in quotes" : "";
  }
  if (!sources.contains(included)) return quoted + " is not the path of a file under src/";
  const std::string from = layer_of(path), to = layer_of(included);
  return may_include(from, to) ? "" : from + " may not include " + quoted + " of " + to;
}

// A header that is meant to be read more than once guards itself by a macro of its own.
bool is_guarded(const std::string& header) {
  static const std::regex guard("(^|\n)#(pragma once|ifndef MALINA_|if defined\\(MALINA_)");
  return std::regex_search(header, guard);
}

// Every violation as "src/file:line: what"; a file in no layer is one too.
std::vector<std::string> violations(const Sources& sources) {
  std::vector<std::string> found;
  for (const auto& [path, text] : sources) {
    const std::string place = "src/" + path + ":";
    if (find_layer(layer_of(path)) == nullptr) found.push_back(place + "1: its folder is no layer");
    if (path.ends_with(".h") && !is_guarded(text)) {
      found.push_back(place + "1: a header without a guard");
    }
    std::istringstream lines(text);
    std::string line;
    for (std::size_t number = 1; std::getline(lines, line); ++number) {
      const std::string fault = fault_of_line(path, line, sources);
      if (!fault.empty()) found.push_back(place + std::to_string(number) + ": " + fault);
    }
  }
  return found;
}

Sources read_sources() {
  const std::filesystem::path root = std::filesystem::path(MALINA_SOURCE_DIR) / "src";
  Sources sources;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    const auto extension = entry.path().extension();
    if (extension != ".h" && extension != ".cpp" && extension != ".inc") continue;
    std::ostringstream text;
    text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    sources[entry.path().lexically_relative(root).generic_string()] = text.str();
  }
  return sources;
}

TEST(Layers, EveryIncludeGoesDownwards) {
  const Sources sources = read_sources();
  ASSERT_TRUE(sources.contains("base/error.h")) << "read in " MALINA_SOURCE_DIR "/src";
  for (const std::string& violation : violations(sources)) ADD_FAILURE() << violation;
}

TEST(Layers, PlantedViolationIsReportedWithItsLine) {
  const Sources sources{
      {"base/error.h", "#pragma once\n"},
      {"engine/engine.h", "#pragma once\n"},
      {"text/tokenizer.h", "#pragma once\n\n#include \"engine/engine.h\"\n"},
  };
  EXPECT_EQ(violations(sources),
            std::vector<std::string>{
                "src/text/tokenizer.h:3: text may not include \"engine/engine.h\" of engine"});
}

TEST(Layers, CommandsAndRoutesSeeThePlatformAndTheBaseOnly) {
  EXPECT_TRUE(may_include(layer_of("app/commands/run.cpp"), "platform"));
  EXPECT_TRUE(may_include(layer_of("app/commands/run.cpp"), layer_of("app/command.h")));
  EXPECT_TRUE(may_include("serve", "base"));
  for (const Layer& layer : layers()) {
    if (layer.name == "platform" || layer.name == "base") continue;
    EXPECT_EQ(may_include("commands", layer.name), layer.name == "commands") << layer.name;
    EXPECT_EQ(may_include("serve", layer.name), layer.name == "serve") << layer.name;
  }
  EXPECT_TRUE(may_include("main", "platform"));
  EXPECT_FALSE(may_include("platform", "commands"));
}

TEST(Layers, TableHasNoCycle) {
  for (const Layer& layer : layers()) {
    EXPECT_FALSE(reaches(layer, layer.name)) << layer.name;
    for (std::string_view below : layer.above) EXPECT_NE(find_layer(below), nullptr) << below;
  }
}

TEST(Layers, EveryShapeOfIncludeIsRead) {
  const auto faults = [](const std::string& line) {
    return violations({{"base/a.h", "#pragma once\n" + line + "\n"},
                       {"math/b.h", "#pragma once\n"},
                       {"math/c.h", "#pragma once\n"}})
        .size();
  };
  EXPECT_EQ(faults("#include <vector>"), 0U);
  EXPECT_EQ(faults("// #include \"math/b.h\""), 0U);
  EXPECT_EQ(faults("  #  include  \"math/b.h\"  // why"), 1U);
  EXPECT_EQ(faults("#include <math/b.h>"), 1U);
  EXPECT_EQ(faults("#include \"b.h\""), 1U);
  EXPECT_EQ(faults("#include \"../math/b.h\""), 1U);
  EXPECT_EQ(faults("#define KERNELS \"math/b.h\"\n#include KERNELS"), 1U);
  EXPECT_EQ(faults("#include \"math/b.h\"\n#include \"math/c.h\""), 2U);
}

TEST(Layers, UnknownFolderAndUnguardedHeaderAreReported) {
  EXPECT_EQ(violations({{"utils/a.cpp", ""}}),
            std::vector<std::string>{"src/utils/a.cpp:1: its folder is no layer"});
  EXPECT_EQ(violations({{"base/a.h", "int x;\n"}}),
            std::vector<std::string>{"src/base/a.h:1: a header without a guard"});
}

}  // namespace
}  // namespace malina
