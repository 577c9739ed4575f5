// Translating the port of a server on the loopback, without connection tracking.
#pragma once

#include <netinet/in.h>

#include <cstdint>

namespace gantry {

// What is sent in the caller's network namespace to `port` of `address` (UDP and TCP) goes to the two other ports of it,
// and what comes from those seems to come from `port`: two rewrites of a port number per direction, no state. Makes
// the nftables table `gantry`. 0, or negative errno (the kernel has no nftables, or the table is there already).
int redirect_loopback_port(in_addr address, uint16_t port, uint16_t udp_port, uint16_t tcp_port);

}  // namespace gantry
