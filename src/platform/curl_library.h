// libcurl, loaded when `malina pull` or `malina connector` first needs it: the program starts, and
// does everything else, without it, and no other command has code in its process that could open a
// connection to the world.
#pragma once

#include <curl/curl.h>

namespace malina::platform {

// The functions that transfers need, by the types of libcurl's own headers. Immutable once loaded.
struct CurlLibrary {
  decltype(&::curl_easy_init) easy_init = nullptr;
  decltype(&::curl_easy_cleanup) easy_cleanup = nullptr;
  decltype(&::curl_easy_perform) easy_perform = nullptr;
  decltype(&::curl_easy_strerror) easy_strerror = nullptr;
  decltype(&::curl_slist_append) slist_append = nullptr;
  decltype(&::curl_slist_free_all) slist_free_all = nullptr;
  CURLcode (*easy_setopt)(CURL*, CURLoption, ...) = nullptr;

  // Throws base::Error(unsupported) that names the package to install where there is no libcurl, or
  // one older than 7.85. It stays loaded until the process ends.
  static CurlLibrary load();
};

}  // namespace malina::platform
