// Connection tracking of the network namespace we run in.
#pragma once

#include <cstdint>
#include <set>

namespace gantry {

// Forgets the UDP flows to these ports of addresses of this host, so that the next packet of each is translated by the
// rules of now: a flow that never pauses would otherwise keep an old translation, or none, for ever. Returns how many.
unsigned forget_udp_flows(const std::set<uint16_t>& ports);

}  // namespace gantry
