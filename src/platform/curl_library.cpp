#include "platform/curl_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <string>

#include "base/error.h"

namespace malina::platform {

namespace {

using base::Error;
using base::Fault;

constexpr unsigned kOldest = 0x075500;  // 7.85.0, the first with CURLOPT_PROTOCOLS_STR

void* open_library() {
  // The second is the same library with another cryptography below it.
  std::string reason;
  for (const char* name : {"libcurl.so.4", "libcurl-gnutls.so.4"}) {
    if (void* const handle = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return handle;
    if (const char* const error = dlerror(); error != nullptr && reason.empty()) reason = error;
  }
  throw Error(
      Fault::unsupported,
      fmt::format(
          "connections to other machines need the library libcurl.so.4 ({}); on Debian 'apt "
          "install libcurl4' (a model can be brought by another way, and 'malina import' "
          "puts it into the store)",
          reason));
}

template <typename Function>
void find(void* handle, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(handle, name));
  if (function == nullptr)
    throw Error(Fault::unsupported, fmt::format("the installed libcurl has no {}", name));
}

}  // namespace

CurlLibrary CurlLibrary::load() {
  void* const handle = open_library();
  CurlLibrary library;
  find(handle, "curl_easy_init", library.easy_init);
  find(handle, "curl_easy_cleanup", library.easy_cleanup);
  find(handle, "curl_easy_perform", library.easy_perform);
  find(handle, "curl_easy_strerror", library.easy_strerror);
  find(handle, "curl_easy_setopt", library.easy_setopt);
  find(handle, "curl_slist_append", library.slist_append);
  find(handle, "curl_slist_free_all", library.slist_free_all);
  decltype(&::curl_version_info) version_info = nullptr;
  decltype(&::curl_global_init) global_init = nullptr;
  find(handle, "curl_version_info", version_info);
  find(handle, "curl_global_init", global_init);
  const curl_version_info_data* const version = version_info(CURLVERSION_NOW);
  if (version->version_num < kOldest)
    throw Error(
        Fault::unsupported,
        fmt::format("the installed libcurl is {}, and 7.85 or later is needed", version->version));
  if (global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    throw Error(Fault::internal, "libcurl does not start");
  return library;
}

}  // namespace malina::platform
