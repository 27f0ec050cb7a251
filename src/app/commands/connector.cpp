// malina connector: the way to upstreams, for a server that has none.
#include "platform/connector.h"

#include "app/command.h"
#include "app/interrupt.h"
#include "base/error.h"
#include "platform/pull.h"

namespace malina::app {

namespace {

struct Options {
  std::string file, socket;
};

void run(const Options& options, Session& session) {
  const platform::LoadedSettings settings = platform::load_settings(
      {.file = {}, .environment = platform::process_environment(), .options = {}});
  const std::filesystem::path& home = settings.values.home;
  const std::string closed = platform::door_closed_by(home, platform::offline_reason(settings));
  if (!closed.empty())
    throw base::Error(base::Fault::unsupported, "connections are switched off: " + closed);
  std::filesystem::path socket = options.socket;
  if (socket.empty()) socket = platform::connector_socket(settings.values.serve, home);
  std::vector<platform::Upstream> upstreams = platform::read_upstreams(options.file);
  Console& console = session.console();
  std::string lines;
  for (const platform::Upstream& upstream : upstreams)
    lines += fmt::format("  upstream/{}: {} at {}\n", upstream.name, printable(upstream.model),
                         upstream.url.origin());
  const InterruptScope interrupt;
  platform::Connector connector(
      std::move(upstreams), std::filesystem::absolute(socket),
      [&](std::string_view line) { console.status(printable(line) + "\n"); });
  console.print("the connector listens at {} and passes questions to\n{}", socket.string(), lines);
  console.flush();
  connector.run([] { return InterruptScope::requested(); });
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<Options>();
  cli.add_option("FILE", options->file, "TOML: a table [NAME] for each upstream")->required();
  cli.add_option(
         "--socket", options->socket,
         "Where it listens; otherwise serve.connector of the settings, or connector.sock in "
         "the home folder")
      ->type_name("FILE");
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command connector{
    .name = "connector",
    .summary = "Pass questions that the server escalates to allowed upstreams",
    .details =
        "The server opens no connection. What it may escalate (--upstreams) it gives to this "
        "process\n"
        "over a Unix socket, which asks the endpoint of OpenAI's API that FILE has under that "
        "name,\n"
        "and no other:\n\n"
        "  [big]\n"
        "  url = \"https://models.example.org/v1\"   # http for this machine itself alone\n"
        "  model = \"large-instruct\"                # as it is called there\n"
        "  key_file = \"big.key\"                    # mode 0600; optional\n"
        "  timeout = \"30s\"                         # of a question; 1s to 10m\n"
        "  max_answer = \"1MiB\"                     # of an answer; 1KiB to 16MiB\n"
        "  logprobs = true                         # false where the endpoint refuses to be "
        "asked\n\n"
        "Its log says which upstream answered, when and how, never what. MALINA_OFFLINE closes "
        "it;\n"
        "https_proxy, no_proxy and SSL_CERT_FILE count as for 'malina pull'.",
    .examples =
        "  malina connector upstreams.toml\n"
        "  malina serve --upstreams big\n",
    .setup = setup};

}  // namespace malina::app
