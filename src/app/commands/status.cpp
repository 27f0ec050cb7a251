// malina status: what a running server does, live.
#include <algorithm>
#include <chrono>
#include <deque>
#include <fstream>
#include <thread>
#include <utility>

#include "app/command.h"
#include "app/live_screen.h"
#include "app/status_page.h"
#include "base/clock.h"
#include "base/error.h"
#include "platform/api_client.h"
#include "platform/server_status.h"

namespace malina::app {

namespace {

using platform::ApiServer;
using platform::ServerStatus;
using Clock = std::chrono::steady_clock;

constexpr auto kBetweenReads = std::chrono::seconds(1);
constexpr auto kWindow = std::chrono::seconds(10);  // of rates and recent latencies, live
constexpr std::size_t kLongestKey = 1024;

struct Options {
  std::string config, server, key_file, certificate;
  bool once = false, json = false;
};

std::string read_key(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw base::system_error("cannot read the key in " + file);
  std::string key(kLongestKey, '\0');
  stream.read(key.data(), static_cast<std::streamsize>(key.size()));
  if (stream.bad()) throw base::system_error("cannot read the key in " + file);
  key.resize(static_cast<std::size_t>(stream.gcount()));
  key.erase(std::min(key.find_first_of("\r\n"), key.size()));
  const auto printable_ascii = [](char c) { return c > ' ' && c < '\x7f'; };
  if (key.empty() || !std::ranges::all_of(key, printable_ascii))
    throw base::Error(base::Fault::invalid_argument, file + " does not hold a key (ID.SECRET)");
  return key;
}

// Where the settings say that a server listens, with the key that it left for this machine's own
// commands; unless the options say otherwise.
ApiServer find_server(const Options& options, Session& session) {
  const auto settings = platform::load_settings(
      {.file = options.config, .environment = platform::process_environment(), .options = {}});
  session.use(settings);
  ApiServer server;
  if (options.server.empty()) {
    server.url = platform::server_url(settings.values.serve);
    server.certificate = settings.values.serve.tls_certificate;
    server.on_this_machine = true;
  } else {
    server.url = platform::parse_url(options.server);
  }
  if (!options.certificate.empty()) server.certificate = options.certificate;
  server.key_source =
      options.key_file.empty() ? (settings.values.home / "admin.key").string() : options.key_file;
  if (!options.key_file.empty()) {
    server.key = read_key(options.key_file);
  } else if (const auto key = session.platform().admin_key()) {
    server.key = *key;
  } else {
    throw base::Error(
        base::Fault::not_found,
        "there is no key in " + server.key_source +
            ", where the first 'malina serve' leaves one: --key-file FILE names another");
  }
  return server;
}

// What was read in the last seconds.
class Looks {
 public:
  explicit Looks(ApiServer server) : server_(std::move(server)) { look(); }
  // Ends a look that is under way, which then throws, as soon as it says true.
  void give_up_when(std::function<bool()> given_up) { server_.given_up = std::move(given_up); }

  void look() {
    ServerStatus status = platform::read_server_status(server_);
    const auto now = Clock::now();
    while (looks_.size() > 1 && now - looks_[1].first >= kWindow) looks_.pop_front();
    looks_.emplace_back(now, std::move(status));
  }

  StatusView view() const {
    const auto& [first_at, first] = looks_.front();
    const auto& [last_at, last] = looks_.back();
    const double seconds = std::chrono::duration<double>(last_at - first_at).count();
    return {.server = server_.url.origin(),
            .now = base::unix_time(),
            .status = last,
            .recent = platform::activity(first, last, seconds),
            .trouble = {}};
  }

 private:
  ApiServer server_;
  std::deque<std::pair<Clock::time_point, ServerStatus>> looks_;
};

// A server that goes away is shown, and waited for: it may be started again.
void show_live(Looks& looks, Console& console) {
  LiveScreen screen(console);
  looks.give_up_when([&] { return screen.is_to_end(); });
  std::string trouble;
  do {
    StatusView view = looks.view();
    view.trouble = trouble;
    screen.draw(status_page(view, console, screen.size().columns));
    if (!screen.wait(kBetweenReads)) return;
    try {
      looks.look();
      trouble.clear();
    } catch (const base::Error& error) {
      trouble = error.what();
    }
  } while (true);
}

void run(const Options& options, Session& session) {
  Console& console = session.console();
  Looks looks(find_server(options, session));
  if (!options.json && !options.once && console.output_is_terminal())
    return show_live(looks, console);
  std::this_thread::sleep_for(kBetweenReads);  // rates are differences
  looks.look();
  constexpr std::size_t kColumns = 80;
  if (options.json)
    console.json(status_json(looks.view()));
  else
    console.write(status_page(looks.view(), console, kColumns));
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  cli.add_option("--server", options->server,
                 "Its address; by default where the settings say that 'malina serve' listens")
      ->type_name("URL");
  cli.add_option("--key-file", options->key_file,
                 "A file with the key to show, which needs the permission 'audit'; by default "
                 "admin.key of the home folder")
      ->type_name("FILE");
  cli.add_option("--certificate", options->certificate,
                 "The certificate that a server with TLS must show; by default that of the "
                 "settings, or with --server one that the system trusts")
      ->type_name("FILE");
  cli.add_option("--config", options->config, "The configuration file, as for 'malina serve'")
      ->type_name("FILE");
  cli.add_flag("--once", options->once, "Print one page and end, as where no terminal is");
  cli.add_flag("--json", options->json, "Print one JSON object and end");
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command status{
    .name = "status",
    .summary = "Show what a running server does, live",
    .details =
        "Models in memory, what runs and waits, tokens a second, latencies, tokens by key; from "
        "the "
        "server's\n/metrics, read once a second. q or Ctrl-C ends it. Rates and recent latencies "
        "are "
        "of the last ten\nseconds, with --once and --json of one; latencies are estimates from the "
        "buckets of histograms.",
    .examples =
        "  malina status\n"
        "  malina status --once\n"
        "  malina status --json\n"
        "  malina status --server https://models.example:8443 --key-file audit.key",
    .setup = setup};

}  // namespace malina::app
