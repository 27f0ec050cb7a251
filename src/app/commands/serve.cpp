// malina serve: the models of this machine for applications.
#include <cstdlib>

#include "app/command.h"
#include "app/setting_options.h"
#include "platform/service.h"

namespace malina::app {

namespace {

// The key is shown once; not where that would keep it in a log that others read.
void announce(Console& console, const std::string& url, const std::filesystem::path& home,
              const platform::ServerSettings& serve,
              const std::optional<platform::IssuedKey>& first_key) {
  console.print("malina serves on {}\n", url);
  if (first_key && std::getenv("JOURNAL_STREAM") == nullptr)
    console.print(
        "\nThis is the first start, so an administrator's key was made. It is shown once:\n\n"
        "  {}\n\n",
        first_key->token);
  if (first_key)
    console.print(
        "The administrator's key is in {}, for this machine's own commands.\n"
        "'malina key create NAME' makes keys for applications.\n",
        (home / "admin.key").string());
  if (!serve.upstreams.empty())
    console.print("answers may be escalated to {}, through the connector at {}\n",
                  fmt::join(serve.upstreams, ", "),
                  platform::connector_socket(serve, home).string());
  console.flush();
}

void run(const SettingOptions& options, Session& session) {
  const platform::LoadedSettings settings = resolve(options, session);
  platform::Platform& platform = session.platform();
  platform::Service service(platform, settings.values.serve);
  const auto first_key = platform.ensure_admin_key();  // not where another server is the first
  session.server()(service, settings.values.serve, [&](const std::string& url) {
    announce(session.console(), url, platform.home(), settings.values.serve, first_key);
  });
}

Action setup(CLI::App& cli) {
  auto options = std::make_shared<SettingOptions>();
  add_serve_options(cli, *options);
  return [options](Session& session) { run(*options, session); };
}

}  // namespace

extern const Command serve{
    .name = "serve",
    .summary = "Serve models to applications: OpenAI's API and Ollama's",
    .details =
        "Models are loaded when they are first asked for. Every request needs a key ('malina "
        "key');\n"
        "the first start makes an administrator's. SIGTERM and Ctrl-C take no new work and wait\n"
        "for what runs (--drain).",
    .examples =
        "  malina serve\n"
        "  malina serve --port 9000 --models smollm2-135m-instruct --keep-alive forever\n"
        "  malina serve --host 0.0.0.0 --tls-certificate cert.pem --tls-key key.pem\n"
        "  curl http://127.0.0.1:8080/v1/models -H \"Authorization: Bearer $KEY\"",
    .setup = setup};

}  // namespace malina::app
