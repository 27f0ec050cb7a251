// Sockets in the file system, between processes of one user.
#pragma once

#include <filesystem>

#include "platform/descriptor.h"

namespace malina::platform {

// Throws invalid_argument where the path is too long for a socket's (107 bytes).
void check_socket_path(const std::filesystem::path& path);

// Listens at `path`, which appears with mode 0600; the folder is made (0700) where it is missing.
// It never blocks. Throws already_exists where somebody listens there or something else stands
// there (a socket that nobody listens at is replaced), invalid_argument as check_socket_path(), io.
// To be called while there is one thread: it sets the process's umask for a moment.
Descriptor listen_private(const std::filesystem::path& path);

// Whether who is at the other end runs as this process does (SO_PEERCRED).
bool is_same_user(int socket);

}  // namespace malina::platform
