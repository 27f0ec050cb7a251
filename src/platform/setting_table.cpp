// The table of all settings. A new one is one entry here and one field where its value is kept.
#include <arpa/inet.h>

#include "base/ascii.h"
#include "base/quantity.h"
#include "platform/settings.h"
#include "platform/upstream.h"

namespace malina::platform {

namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kSecond = 1000, kHour = 3600 * kSecond;  // of durations
constexpr auto kForever = static_cast<std::uint64_t>(base::kLongestDuration.count());

bool is_address(const std::string& text) {
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(AF_INET, text.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

void strip_brackets(std::string& address) {
  if (address.size() > 2 && address.front() == '[' && address.back() == ']')
    address = address.substr(1, address.size() - 2);
}

// A name would have to be looked up, and a server opens no connection.
std::string check_address(std::string& value) {
  if (value == "localhost") value = "127.0.0.1";
  strip_brackets(value);
  if (is_address(value)) return "";
  return "is no address: write 127.0.0.1 or localhost for this machine alone, 0.0.0.0 or :: for "
         "every network, or one address of this machine";
}

std::string check_host_name(std::string& value) {
  strip_brackets(value);
  if (is_address(value)) return "";
  for (char& c : value) {
    c = base::ascii_lower(c);
    const bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    if (!good)
      return "is no host: write a name such as models.example.org or an address, without a port";
  }
  return "";
}

std::string check_upstream(std::string& value) { return std::string(upstream_name_fault(value)); }

constexpr Setting kTable[] = {
    {.table = "",
     .name = "home",
     .type = SettingType::path,
     .help = "Folder of models and records",
     .place = [](Settings& s) -> SettingPlace { return &s.home; }},
    {.table = "",
     .name = "offline",
     .type = SettingType::flag,
     .help =
         "Close 'malina pull' and 'malina connector', the only commands that open connections to "
         "other machines",
     .place = [](Settings& s) -> SettingPlace { return &s.offline; }},

    {.table = "serve",
     .name = "host",
     .help = "Address to listen on; anything but this machine itself needs tls_certificate, or "
             "allow_plaintext",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.host; },
     .check = check_address},
    {.table = "serve",
     .name = "port",
     .type = SettingType::number,
     .help = "Port to listen on; 0 takes any free one",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.port; },
     .most = 65535},
    {.table = "serve",
     .name = "tls_certificate",
     .type = SettingType::path,
     .help = "PEM file with the server's certificate and those between it and the authority",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.tls_certificate; },
     .zero = "none"},
    {.table = "serve",
     .name = "tls_key",
     .type = SettingType::path,
     .help = "PEM file with the certificate's private key",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.tls_key; },
     .zero = "none"},
    {.table = "serve",
     .name = "allow_plaintext",
     .type = SettingType::flag,
     .help = "Listen beyond this machine without TLS, behind a proxy that speaks it",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.allow_plaintext; }},
    {.table = "serve",
     .name = "allowed_hosts",
     .type = SettingType::list,
     .help = "Names in Host headers that are answered, beside those of this machine itself and the "
             "address it listens on",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.allowed_hosts; },
     .check = check_host_name},
    {.table = "serve",
     .name = "trust_loopback",
     .help = "Id of the key that calls from this machine without a key count as",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.trust_loopback; },
     .zero = "none"},

    {.table = "serve",
     .name = "models",
     .type = SettingType::list,
     .help = "Models to load at the start; others are loaded when they are first asked for",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.models; }},
    {.table = "serve",
     .name = "memory",
     .type = SettingType::size,
     .help =
         "Memory for all models, their answers, tuning jobs and what clients send; auto is 80 % of "
         "what the process may take",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.memory; },
     .most = 1ULL << 50,
     .zero = "auto"},
    {.table = "serve",
     .name = "context",
     .type = SettingType::number,
     .help = "Tokens that prompt and answer may have together; auto is the model's own, or what "
             "fits",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.context; },
     .most = 1ULL << 31,
     .zero = "auto"},
    {.table = "serve",
     .name = "threads",
     .type = SettingType::number,
     .help = "Threads to compute with; auto is one a core",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.threads; },
     .most = 1024,
     .zero = "auto"},
    {.table = "serve",
     .name = "exact",
     .type = SettingType::flag,
     .help = "Compute in float32 as the reference does: slower, and equal to it",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.exact; }},
    {.table = "serve",
     .name = "kv_type",
     .type = SettingType::choice,
     .help = "How keys and values are stored; auto is f16, or f32 with exact",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.kv_type; },
     .choices = "auto|f32|f16|q8_0",
     .zero = "auto"},
    {.table = "serve",
     .name = "parallel",
     .type = SettingType::number,
     .help = "Answers of one model, each of a full context, that memory is kept for; shorter ones "
             "run in "
             "greater number. auto is as many as memory allows",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.parallel; },
     .most = 65536,
     .zero = "auto"},
    {.table = "serve",
     .name = "keep_alive",
     .type = SettingType::duration,
     .help = "How long a model that nobody asks stays loaded",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.keep_alive; },
     .most = kForever,
     .endless = "forever"},

    {.table = "serve",
     .name = "load_wait",
     .type = SettingType::duration,
     .help = "How long a request waits for a model that is being loaded",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.load_wait; },
     .most = kHour},
    {.table = "serve",
     .name = "queue_wait",
     .type = SettingType::duration,
     .help = "How long a request waits for its turn",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.queue_wait; },
     .most = kHour},
    {.table = "serve",
     .name = "max_queue",
     .type = SettingType::number,
     .help =
         "Answers of a model that may wait at once, and requests for models that are loading; a "
         "request that finds so many waiting is refused at once, however many it asks for",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.max_queue; },
     .least = 1,
     .most = 1'000'000},
    {.table = "serve",
     .name = "request_timeout",
     .type = SettingType::duration,
     .help = "The longest that a request may take; a key may have less",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.request_timeout; },
     .least = kSecond,
     .most = 24 * kHour},
    {.table = "serve",
     .name = "drain",
     .type = SettingType::duration,
     .help = "How long answers may go on when the server is told to stop",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.drain; },
     .most = kHour},
    {.table = "serve",
     .name = "connections",
     .type = SettingType::number,
     .help = "Connections that may be open at once",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.connections; },
     .least = 1,
     .most = 1'000'000},
    {.table = "serve",
     .name = "max_body",
     .type = SettingType::size,
     .help = "The largest body of a request",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.max_body; },
     .least = 1024,
     .most = 1ULL << 30},
    {.table = "serve",
     .name = "max_bodies",
     .type = SettingType::size,
     .help = "Memory for the bodies of all requests under way and what they are read into, four "
             "times their bytes, and for answers that wait to be taken; a part of memory, auto is "
             "an eighth of it and at most 256MiB",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.max_bodies; },
     .most = 1ULL << 40,
     .zero = "auto"},

    {.table = "serve",
     .name = "upstreams",
     .type = SettingType::list,
     .help = "Upstreams that questions may be escalated to, by their names in the configuration of "
             "'malina connector'; texts leave this machine for them, and for nothing else",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.upstreams; },
     .check = check_upstream},
    {.table = "serve",
     .name = "connector",
     .type = SettingType::path,
     .help = "Unix socket at which 'malina connector' listens; auto is connector.sock in home",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.connector; },
     .zero = "auto"},
    {.table = "serve",
     .name = "upstream_wait",
     .type = SettingType::duration,
     .help = "How long a request waits for an upstream; then the answer of its own model stands",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.upstream_wait; },
     .least = kSecond,
     .most = kHour},

    {.table = "serve",
     .name = "job_threads",
     .type = SettingType::number,
     .help = "Threads that a tuning job computes with, at a lower priority than answers; auto is "
             "half of the cores, rounded up",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.job_threads; },
     .most = 1024,
     .zero = "auto"},
    {.table = "serve",
     .name = "max_file",
     .type = SettingType::size,
     .help = "The largest file that can be uploaded",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.max_file; },
     .least = 1024,
     .most = 1ULL << 40},
    {.table = "serve",
     .name = "tenant_files",
     .type = SettingType::size,
     .help = "What the uploaded files of a tenant may take together",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.tenant_files; },
     .least = 1024,
     .most = 1ULL << 50},
    {.table = "serve",
     .name = "tenant_jobs",
     .type = SettingType::number,
     .help = "How many tuning jobs of a tenant may wait, run or be paused; one more is refused",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.tenant_jobs; },
     .least = 1,
     .most = 1'000'000},

    {.table = "serve",
     .name = "log_format",
     .type = SettingType::choice,
     .help = "How the log is written to standard error: for people, or one JSON object a line",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.log_format; },
     .choices = "text|json"},
    {.table = "serve",
     .name = "log_level",
     .type = SettingType::choice,
     .help = "The least that is logged",
     .place = [](Settings& s) -> SettingPlace { return &s.serve.log_level; },
     .choices = "error|warning|info|debug"},
};

}  // namespace

std::span<const Setting> setting_table() { return kTable; }

}  // namespace malina::platform
