// Network interfaces of containers that run already. (The shim program makes those of a container that starts.)
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gantry {

// A route of a container.
struct ContainerRoute {
  // Subnet.
  std::string destination;
  // Gateway, or empty for a link route.
  std::string gateway;
  // 0 = none.
  uint32_t metric;
};

// Where a container sends what is for nobody near: to a gateway, else to a link, else (both empty) nowhere.
struct DefaultRoute {
  std::string gateway;
  std::string link;
};

// An interface to make in a container.
struct ContainerInterface {
  // `veth`, `macvlan` or `ipvlan`.
  std::string kind;
  // Name of the host's end of a veth pair.
  std::string host_name;
  // Name in the container.
  std::string name;
  // Bridge (veth) or the link below, by name.
  std::string parent;
  // 6 bytes, or empty for the kernel's choice.
  std::vector<uint8_t> mac;
  // With prefix length.
  std::vector<std::string> addresses;
  // 0 = the parent's.
  uint32_t mtu;
  std::vector<ContainerRoute> routes;
  // macvlan: 1 private, 2 vepa, 4 bridge, 8 passthru; ipvlan: 0 l2, 1 l3, 2 l3s.
  uint32_t mode;
  // Files below /proc/sys, written before the interface is up.
  std::map<std::string, std::string> sysctls;
  // The bridge port takes no part in traffic between isolated ports.
  bool isolated;
};

// Each works in the network namespace of process `pid`, on a thread of its own.

// All or nothing.
void attach_interface(int pid, const ContainerInterface& interface);
// `host_name`: of the host's end, or empty. No error when there is no such interface; one of that name that a program
// of the container made stays.
void detach_interface(int pid, const std::string& name, const std::string& host_name);
// Replaces the default routes of the families that are given.
void set_default_routes(int pid, const std::optional<DefaultRoute>& ipv4, const std::optional<DefaultRoute>& ipv6);

}  // namespace gantry
