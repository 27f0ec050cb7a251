// malina verify: is a model in the store, byte for byte, what was imported?
#include "app/command.h"
#include "app/model_json.h"
#include "app/progress_bar.h"
#include "base/error.h"

namespace malina::app {

namespace {

using platform::FileCheck;

struct Options {
  std::string name;
  bool json = false;
};

std::int64_t seconds(std::int64_t nanoseconds) { return nanoseconds / 1'000'000'000; }

// What differs, as the end of a line; "" for an intact file.
std::string difference(const FileCheck& file) {
  const auto& recorded = file.recorded;
  std::vector<std::string> parts;
  if (file.state == FileCheck::State::missing) return "";
  if (file.found.size_bytes != recorded.facts.size_bytes)
    parts.push_back(fmt::format("{} bytes instead of {}", grouped(file.found.size_bytes),
                                grouped(recorded.facts.size_bytes)));
  if (file.found_digest != recorded.digest)
    parts.push_back(
        fmt::format("sha256 {} instead of {}", file.found_digest.hex(), recorded.digest.hex()));
  if (file.found.modified_ns != recorded.facts.modified_ns)
    parts.push_back(fmt::format("modified at {} instead of {}",
                                utc_time(seconds(file.found.modified_ns)),
                                utc_time(seconds(recorded.facts.modified_ns))));
  if (file.found.inode != recorded.facts.inode)
    parts.push_back(fmt::format("inode {} instead of {}", file.found.inode, recorded.facts.inode));
  return fmt::format("{}", fmt::join(parts, ", "));
}

Json file_json(const FileCheck& file) {
  const bool missing = file.state == FileCheck::State::missing;
  const auto found = [&](Json value) { return missing ? Json() : std::move(value); };
  return {{"path", file.path.string()},
          {"state", platform::name(file.state)},
          {"size_bytes", file.recorded.facts.size_bytes},
          {"digest", file.recorded.digest.hex()},
          {"modified_at", utc_time(seconds(file.recorded.facts.modified_ns))},
          {"found_size_bytes", found(file.found.size_bytes)},
          {"found_digest", found(file.found_digest.hex())},
          {"found_modified_at", found(utc_time(seconds(file.found.modified_ns)))}};
}

void run(const Options& options, Session& session) {
  platform::Verification result;
  {
    ProgressBar bar(session.console());
    result = session.platform().verify_model(options.name, bar.sink());
  }
  Console& console = session.console();
  if (options.json) {
    Json files = Json::array();
    for (const FileCheck& file : result.files) files.push_back(file_json(file));
    console.json({{"name", result.model.name},
                  {"digest", result.model.digest.hex()},
                  {"intact", result.intact()},
                  {"files", std::move(files)}});
  } else {
    std::vector<std::vector<std::string>> rows;
    for (const FileCheck& file : result.files)
      rows.push_back({std::string(platform::name(file.state)), printable(file.path.string()),
                      difference(file)});
    console.write(table(rows));
  }
  if (!result.intact())
    throw base::Error(
        base::Fault::corrupt_file,
        fmt::format("model '{0}' is not what was imported; import it again, or 'malina "
                    "remove {0}'",
                    result.model.name));
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  cli.add_option("MODEL", options->name, "The model's name in the store")->required();
  cli.add_flag("--json", options->json, "Print the result as JSON");
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command verify{
    .name = "verify",
    .summary = "Check that a model in the store is what was imported",
    .details =
        "Reads every byte and compares with the recorded SHA-256. Each file is one of:\n"
        "  intact    as it was imported\n"
        "  touched   the same bytes, with another time or inode (a restored backup, say); the "
        "record "
        "is\n            brought up to date and the model loads again\n"
        "  changed   other bytes\n"
        "  missing   not there\n"
        "The exit code is 5 where a file is changed or missing.",
    .examples =
        "  malina verify smollm2-135m-instruct\n"
        "  malina verify support:2024-06 --json\n",
    .setup = setup};

}  // namespace malina::app
