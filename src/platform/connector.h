// The way out for texts, where there is one: a process of its own that listens on a Unix socket and
// passes questions (upstream.h) to the upstreams of its configuration. A request names an upstream
// and never an address, and can do nothing but ask it one question; redirects are not followed.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/connector_file.h"
#include "platform/curl_library.h"
#include "platform/descriptor.h"

namespace malina::platform {

// One owner. run() may be called once.
class Connector {
 public:
  // A line for whoever runs it, without a line end and without a word of what was asked: one call
  // at a time, on any thread.
  using Say = std::function<void(std::string_view)>;

  // Listens at `socket`, which appears with mode 0600. Throws already_exists where another
  // connector listens there or something else stands there (a socket that nobody listens at is
  // replaced), invalid_argument for a path that is too long for a socket, io; unsupported without
  // libcurl.
  Connector(std::vector<Upstream> upstreams, std::filesystem::path socket, Say say);
  ~Connector();  // takes the socket away
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  // Until `stopped`, which is asked every moment, says so. What is under way then has 10 s to end.
  // 16 questions are asked at once; others wait.
  void run(const std::function<bool()>& stopped);

 private:
  class Worker;
  void take_away();

  const CurlLibrary library_ = CurlLibrary::load();
  const std::vector<Upstream> upstreams_;
  const std::filesystem::path socket_;
  const Say say_;
  Descriptor listener_;
  bool there_ = true;  // the socket, in the file system
};

}  // namespace malina::platform
