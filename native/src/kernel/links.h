// Network links, addresses and routes of the namespace we run in (the host side of containers' networks).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gantry {

// One address of a link.
struct LinkAddress {
  // `172.17.0.1/16` or `fe80::1/64`.
  std::string cidr;
  // RT_SCOPE_*: 0 global, 253 link, 254 host.
  int scope;
};

// One link.
struct Link {
  int index;
  std::string name;
  // What somebody wrote on it, or empty.
  std::string alias;
  // `bridge`, `veth`, `macvlan`, ...; empty for hardware and the loopback.
  std::string kind;
  // `02:42:ac:11:00:02`, or empty.
  std::string mac;
  uint32_t mtu;
  bool up;
  // Has a carrier (IFF_LOWER_UP).
  bool carrier;
  // Index of the bridge that it is a port of, or 0.
  int master;
  // Index of the link below (a veth's other end, a macvlan's parent), or 0.
  int link;
  std::vector<LinkAddress> addresses;
};

// One route of the main table.
struct Route {
  // `0.0.0.0/0`, `::/0` or a subnet.
  std::string destination;
  // Gateway, or empty.
  std::string gateway;
  // Index of the output link, or 0.
  int link;
  // Preferred source address, or empty.
  std::string source;
  uint32_t metric;
};

// A link to make. Members that a kind does not have are left alone.
struct NewLink {
  // `bridge`, `dummy`, `macvlan`, `ipvlan`, `vlan`.
  std::string kind;
  std::string name;
  // 6 bytes, or empty for the kernel's choice.
  std::vector<uint8_t> mac;
  // 0 = the kernel's choice.
  uint32_t mtu;
  // Name of the link below (macvlan, ipvlan, vlan), or empty.
  std::string parent;
  // vlan: the ID; macvlan and ipvlan: the mode's number; else ignored.
  uint32_t mode;
  // bridge: multicast snooping off.
  bool no_multicast_snooping;
};

std::vector<Link> list_links();
std::vector<Route> list_routes();

// EEXIST is thrown when the name is taken.
void create_link(const NewLink& link);
// May take 20 ms (it waits for the kernel's grace period). ENODEV when there is none.
void delete_link(const std::string& name);
void set_link_up(const std::string& name, bool up);
// `master` empty: leaves its bridge.
void set_link_master(const std::string& name, const std::string& master);
void set_link_mtu(const std::string& name, uint32_t mtu);
// Gives a link that is down its name and its alias in one step; EEXIST when the name is taken.
void rename_link(const std::string& name, const std::string& to, const std::string& alias);

// `cidr` as in LinkAddress. An IPv6 address is usable at once (no duplicate address detection). EEXIST when it is there.
void add_address(const std::string& name, const std::string& cidr);
// EADDRNOTAVAIL when it is not there.
void remove_address(const std::string& name, const std::string& cidr);

}  // namespace gantry
