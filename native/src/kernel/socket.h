// Sockets and anonymous files of the launch.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "kernel/unique_fd.h"

namespace gantry {

// Listens on a Unix stream socket. A path that is longer than sockaddr_un takes is reached through its folder's
// descriptor. A socket file that is there already is replaced; `mode` is its permission bits, in force before anyone can connect.
UniqueFd listen_unix(const std::string& path, mode_t mode, int backlog);

// Two connected Unix stream sockets.
std::pair<UniqueFd, UniqueFd> socket_pair();

// An anonymous file with these bytes, read from its start; with `seal` nobody can change it any more.
UniqueFd data_memfd(const std::string& name, std::span<const uint8_t> bytes, bool seal);

}  // namespace gantry
