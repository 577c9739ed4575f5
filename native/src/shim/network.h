// The container's network interfaces.
#pragma once

#include "kernel/failure.h"
#include "shim/host_handles.h"
#include "shim/plan.h"

namespace gantry::shim {

// Shim's side, in the host's network namespace: makes the links, with their container end in `container` (a descriptor
// of a network namespace).
bool create_links(const std::vector<InterfacePlan>& interfaces, int container, Failure& failure);

// Sets the loopback of the caller's network namespace up. 0, or negative errno.
int set_loopback_up();

// Shim's side, after a failed start: takes away what create_links made, without waiting for the namespace to go.
void remove_links(const std::vector<InterfacePlan>& interfaces);

// Child's side, in its network namespace: loopback up, then sysctls, addresses, links up and routes. Allocates nothing.
bool configure_links(const std::vector<InterfacePlan>& interfaces, const HostHandles& host, Failure& failure);

// Tells neighbours again who has the addresses (arp_notify, ndisc_notify), once the bridges have heard of the carriers:
// what the kernel told when a link came up was lost at a port that was disabled. `control`: see kernel/carrier.h.
bool announce_links(const std::vector<InterfacePlan>& interfaces, int control, Failure& failure);

}  // namespace gantry::shim
