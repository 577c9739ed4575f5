// The name server's sockets, which live in the container's network namespace while their owner does not.
#pragma once

#include <cstdint>

#include "kernel/failure.h"
#include "kernel/unique_fd.h"

namespace gantry::shim {

// Listening sockets of 127.0.0.11, non-blocking.
struct NameSockets {
  UniqueFd udp;
  UniqueFd tcp;
};

// Opens them in the network namespace of the descriptor, whose loopback is set up for it. Port 53 is led to them, so that
// a server in the container may bind it; with a kernel that cannot do so they are bound to it themselves.
bool open_name_sockets(int network, NameSockets& out, Failure& failure);

// A socket (non-blocking, close-on-exec) of a network namespace, or negative errno; -1 for the caller's own.
int socket_in(int network, int family, int type);

}  // namespace gantry::shim
