#include "platform/connector.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/stopwatch.h"
#include "platform/http_client.h"
#include "platform/unix_socket.h"
#include "platform/upstream.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kWorkers = 16;             // questions that are asked at once
constexpr auto kLineTime = seconds(10);  // for a question to come, and for its answer to be taken
constexpr auto kGrace = seconds(10);     // for what is under way when it is to stop
constexpr auto kLook = milliseconds(100);
constexpr std::size_t kPiece = std::size_t{64} << 10;

struct TooLarge {};   // the answer
struct Abandoned {};  // nobody waits for it any more, or the connector stops

// What all workers see.
struct Running {
  std::atomic<bool> cut = false;  // what is under way ends now
  std::atomic<int> busy = 0;      // workers that have a question
  std::mutex saying;
};

// Until the socket is ready; false where the time is up.
bool wait_for(int socket, short events, Clock::time_point until) {
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    if (left.count() <= 0) return false;
    pollfd entry{socket, events, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(left.count()));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

// Up to the line's end, without it; nullopt where none comes in time, or it is too long.
std::optional<std::string> read_line(int socket) {
  const auto until = Clock::now() + kLineTime;
  std::string line;
  std::size_t size = 0;
  while (size <= kMostUpstreamLine) {
    line.resize(size + kPiece);
    const ssize_t got = ::recv(socket, line.data() + size, kPiece, 0);
    if (got == 0) return std::nullopt;
    if (got < 0) {
      const bool later = errno == EAGAIN || errno == EINTR;
      if (!later || !wait_for(socket, POLLIN, until)) return std::nullopt;
      continue;
    }
    const std::size_t end = line.find('\n', size);
    size += static_cast<std::size_t>(got);
    if (end >= size) continue;
    line.resize(end);
    return line;
  }
  return std::nullopt;
}

void write_line(int socket, std::string_view line) {
  const auto until = Clock::now() + kLineTime;
  while (!line.empty()) {
    const ssize_t sent = ::send(socket, line.data(), line.size(), MSG_NOSIGNAL);
    if (sent >= 0)
      line.remove_prefix(static_cast<std::size_t>(sent));
    else if ((errno != EAGAIN && errno != EINTR) || !wait_for(socket, POLLOUT, until))
      return;
  }
}

bool hung_up(int socket) {
  pollfd entry{socket, POLLRDHUP, 0};
  return ::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

UpstreamReply failed(UpstreamFault fault, int status = 0) {
  return {.fault = fault, .status = status};
}

}  // namespace

// Takes one question after another; its own connections to upstreams stay open between them.
class Connector::Worker {
 public:
  Worker(const Connector& connector, Running& running, int stop)
      : connector_(connector), running_(running), stop_(stop) {}

  void run() {
    for (;;) {
      pollfd entries[] = {{connector_.listener_.number(), POLLIN, 0}, {stop_, POLLIN, 0}};
      if (::poll(entries, 2, -1) < 0) continue;
      if (entries[1].revents != 0) return;
      const Descriptor socket(
          ::accept4(connector_.listener_.number(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!socket) {  // another worker was first; or there are no descriptors, which may pass
        if (errno != EAGAIN) std::this_thread::sleep_for(kLook);
        continue;
      }
      ++running_.busy;
      try {
        serve(socket.number());
      } catch (const std::exception& error) {
        say(fmt::format("a question ended: {}", error.what()));
      }
      --running_.busy;
    }
  }

 private:
  void say(std::string_view line) {
    const std::scoped_lock lock(running_.saying);
    connector_.say_(line);
  }

  void serve(int socket) {
    if (!is_same_user(socket)) return say("a process of another user was refused");
    const auto line = read_line(socket);
    if (!line) return;
    UpstreamReply reply;
    try {
      const UpstreamQuestion question = read_question_line(*line);
      const auto& all = connector_.upstreams_;
      const auto upstream = std::ranges::find(all, question.upstream, &Upstream::name);
      if (upstream != all.end()) {
        reply = ask(*upstream, question, socket);
      } else {
        say(fmt::format("{}: there is no such upstream in the configuration", question.upstream));
        reply = failed(UpstreamFault::unreachable);
      }
    } catch (const Error&) {  // whose message may repeat what came
      say("what came is no question");
      reply = failed(UpstreamFault::malformed);
    } catch (const Abandoned&) {
      reply = failed(UpstreamFault::unreachable);
    }
    std::string answer = line_of(reply);
    if (answer.size() > kMostUpstreamLine)
      answer = line_of(failed(UpstreamFault::too_large, reply.status));
    write_line(socket, answer);
  }

  void check_wanted(int socket) const {
    if (running_.cut || hung_up(socket)) throw Abandoned();
  }

  HttpClient& client_of(const Upstream& upstream) {
    auto& client = clients_[upstream.name];
    if (!client)
      client = std::make_unique<HttpClient>(
          connector_.library_,
          HttpOptions{.timeout = std::chrono::ceil<seconds>(upstream.time_limit),
                      .token_origin = upstream.url,
                      .token = upstream.key,
                      .whole_time = upstream.time_limit});
    return *client;
  }

  UpstreamReply ask(const Upstream& upstream, const UpstreamQuestion& question, int socket) {
    const base::Stopwatch watch;
    std::string why;
    UpstreamReply reply;
    try {
      reply = exchange(upstream, question, socket, why);
    } catch (const TooLarge&) {
      reply = failed(UpstreamFault::too_large, 200);
    } catch (const Abandoned&) {
      say(fmt::format("{}: no longer waited for", upstream.name));
      throw;
    } catch (const Error& error) {
      reply = failed(UpstreamFault::unreachable);
      why = error.what();
    }
    const bool good = reply.fault == UpstreamFault::none;
    say(fmt::format("{}: {} after {:.3f} s{}{}", upstream.name,
                    good ? "answered" : name(reply.fault), watch.seconds(),
                    reply.status > 0 ? fmt::format(", status {}", reply.status) : "",
                    why.empty() ? "" : ": " + why));
    return reply;
  }

  UpstreamReply exchange(const Upstream& upstream, const UpstreamQuestion& question, int socket,
                         std::string& why) {
    check_wanted(socket);
    std::string body;
    const HttpSink sink{.on_head = [](const HttpHead& head) { return head.status == 200; },
                        .on_body =
                            [&](std::span<const std::byte> bytes) {
                              if (bytes.size() > upstream.most_bytes - body.size())
                                throw TooLarge();
                              body.append(reinterpret_cast<const char*>(bytes.data()),
                                          bytes.size());
                            },
                        .on_tick = [&] { check_wanted(socket); }};
    const HttpRequest request{
        .url = upstream.url,
        .json = chat_request(question, upstream.model, upstream.log_probabilities)};
    const HttpResult result = client_of(upstream).post(request, sink);
    why = result.cut;
    const int status = result.head.status;
    if (result.timed_out) return failed(UpstreamFault::timeout, status);
    if (!result.cut.empty())
      return failed(result.may_be_sent ? UpstreamFault::failed : UpstreamFault::unreachable,
                    status);
    if (status >= 400 && status < 500) return failed(UpstreamFault::refused, status);
    if (status != 200) return failed(UpstreamFault::failed, status);
    UpstreamReply reply{.status = status};
    try {
      reply.answer = read_chat_answer(body);
    } catch (const Error&) {  // whose message may repeat what came
      return failed(UpstreamFault::malformed, status);
    }
    return reply;
  }

  const Connector& connector_;
  Running& running_;
  const int stop_;
  std::map<std::string, std::unique_ptr<HttpClient>> clients_;
};

Connector::Connector(std::vector<Upstream> upstreams, std::filesystem::path socket, Say say)
    : upstreams_(std::move(upstreams)),
      socket_(std::move(socket)),
      say_(std::move(say)),
      listener_(listen_private(socket_)) {}

Connector::~Connector() { take_away(); }

// Once: what stands there later is another's.
void Connector::take_away() {
  if (std::exchange(there_, false)) ::unlink(socket_.c_str());
}

void Connector::run(const std::function<bool()>& stopped) {
  Running running;
  const Descriptor stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop) throw base::system_error("cannot make an event");
  std::vector<std::thread> threads;
  for (int i = 0; i < kWorkers; ++i)
    threads.emplace_back([&] { Worker(*this, running, stop.number()).run(); });
  while (!stopped()) ::poll(nullptr, 0, static_cast<int>(kLook.count()));
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(stop.number(), &one, sizeof(one));
  take_away();  // whoever comes now is told at once that nobody listens
  const auto until = Clock::now() + kGrace;
  while (running.busy > 0 && Clock::now() < until)
    ::poll(nullptr, 0, static_cast<int>(kLook.count()));
  running.cut = true;
  for (std::thread& thread : threads) thread.join();
}

}  // namespace malina::platform
