#include "shim/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <net/if.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kernel/carrier.h"
#include "kernel/netlink.h"

namespace gantry::shim {
namespace {

// An address or network with its prefix length.
struct Prefix {
  int family = 0;
  unsigned length = 0;
  unsigned char bytes[16] = {};

  size_t size() const { return family == AF_INET ? 4 : 16; }
};

bool parse_address(const char* text, Prefix& out) {
  out.family = std::strchr(text, ':') != nullptr ? AF_INET6 : AF_INET;
  out.length = out.family == AF_INET ? 32 : 128;
  return inet_pton(out.family, text, out.bytes) == 1;
}

bool parse_prefix(const char* text, Prefix& out) {
  char address[INET6_ADDRSTRLEN];
  const char* slash = std::strchr(text, '/');
  const size_t length = slash == nullptr ? std::strlen(text) : static_cast<size_t>(slash - text);
  if (length >= sizeof(address)) return false;
  std::memcpy(address, text, length);
  address[length] = '\0';
  if (!parse_address(address, out)) return false;
  if (slash == nullptr) return true;
  char* end = nullptr;
  const unsigned long wanted = std::strtoul(slash + 1, &end, 10);
  if (slash[1] == '\0' || *end != '\0' || wanted > out.length) return false;
  out.length = static_cast<unsigned>(wanted);
  return true;
}

struct Mode {
  const char* name;
  uint32_t value;
};

constexpr Mode kMacvlanModes[] = {{"private", MACVLAN_MODE_PRIVATE},
                                  {"vepa", MACVLAN_MODE_VEPA},
                                  {"bridge", MACVLAN_MODE_BRIDGE},
                                  {"passthru", MACVLAN_MODE_PASSTHRU}};
constexpr Mode kIpvlanModes[] = {{"l2", IPVLAN_MODE_L2}, {"l3", IPVLAN_MODE_L3}, {"l3s", IPVLAN_MODE_L3S}};

template <size_t N>
bool find_mode(const Mode (&modes)[N], const std::string& name, uint32_t& value) {
  for (const auto& mode : modes) {
    if (name == mode.name) {
      value = mode.value;
      return true;
    }
  }
  return false;
}

void add_hardware_address(NetlinkBatch& batch, const InterfacePlan& plan) {
  if (!plan.mac.empty()) batch.attribute(IFLA_ADDRESS, plan.mac.data(), plan.mac.size());
}

// Both ends, the bridge and the host's side up in one message. The peer may not be brought up by it (the kernel
// answers ENOTCONN), so the container's side comes up later.
void build_veth(NetlinkBatch& batch, const InterfacePlan& plan, unsigned bridge, unsigned mtu, int container) {
  ifinfomsg host = {};
  host.ifi_flags = IFF_UP;
  host.ifi_change = IFF_UP;
  batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, host);
  batch.attribute(IFLA_IFNAME, std::string_view(plan.host_name));
  if (bridge != 0) batch.attribute(IFLA_MASTER, bridge);
  if (mtu != 0) batch.attribute(IFLA_MTU, mtu);
  const size_t info = batch.begin_nested(IFLA_LINKINFO);
  batch.attribute(IFLA_INFO_KIND, std::string_view("veth"));
  const size_t data = batch.begin_nested(IFLA_INFO_DATA);
  const size_t peer = batch.begin_nested(VETH_INFO_PEER);
  const ifinfomsg container_end = {};
  batch.raw(&container_end, sizeof(container_end));
  batch.attribute(IFLA_IFNAME, std::string_view(plan.name));
  add_hardware_address(batch, plan);
  if (mtu != 0) batch.attribute(IFLA_MTU, mtu);
  batch.attribute(IFLA_NET_NS_FD, static_cast<uint32_t>(container));
  batch.end_nested(peer);
  batch.end_nested(data);
  batch.end_nested(info);
}

int isolate_port(int socket, const std::string& host_name) {
  ifinfomsg port = {};
  port.ifi_family = AF_BRIDGE;
  port.ifi_index = static_cast<int>(find_link(host_name.c_str(), nullptr));
  NetlinkBatch batch;
  batch.begin(RTM_SETLINK, 0, port);
  const size_t settings = batch.begin_nested(IFLA_PROTINFO);
  batch.attribute_byte(IFLA_BRPORT_ISOLATED, 1);
  batch.end_nested(settings);
  return batch.send(socket);
}

int delete_link(int socket, const std::string& name) {
  const ifinfomsg link = {};
  NetlinkBatch batch;
  batch.begin(RTM_DELLINK, 0, link);
  batch.attribute(IFLA_IFNAME, std::string_view(name));
  return batch.send(socket);
}

int create_veth(int socket, const InterfacePlan& plan, int container) {
  unsigned parent_mtu = 0;
  const unsigned bridge = plan.parent.empty() ? 0 : find_link(plan.parent.c_str(), &parent_mtu);
  if (!plan.parent.empty() && bridge == 0) return -ENODEV;
  const unsigned mtu = plan.mtu != 0 ? plan.mtu : parent_mtu;
  int error = 0;
  for (int attempt = 0; attempt < 2; ++attempt) {
    NetlinkBatch batch;
    build_veth(batch, plan, bridge, mtu, container);
    error = batch.send(socket);
    // Left by an earlier run whose namespace the kernel is still clearing away.
    if (error != -EEXIST || delete_link(socket, plan.host_name) != 0) break;
  }
  if (error == 0 && plan.isolated) error = isolate_port(socket, plan.host_name);
  return error;
}

int create_on_parent(int socket, const InterfacePlan& plan, int container) {
  unsigned parent_mtu = 0;
  const unsigned parent = find_link(plan.parent.c_str(), &parent_mtu);
  if (parent == 0) return -ENODEV;
  const bool macvlan = plan.kind == "macvlan";
  uint32_t mode = macvlan ? static_cast<uint32_t>(MACVLAN_MODE_BRIDGE) : static_cast<uint32_t>(IPVLAN_MODE_L2);
  if (!plan.mode.empty() &&
      !(macvlan ? find_mode(kMacvlanModes, plan.mode, mode) : find_mode(kIpvlanModes, plan.mode, mode))) {
    return -EINVAL;
  }
  const ifinfomsg link = {};
  NetlinkBatch batch;
  batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link);
  batch.attribute(IFLA_IFNAME, std::string_view(plan.name));
  batch.attribute(IFLA_LINK, parent);
  batch.attribute(IFLA_NET_NS_FD, static_cast<uint32_t>(container));
  add_hardware_address(batch, plan);
  if (plan.mtu != 0) batch.attribute(IFLA_MTU, plan.mtu);
  const size_t info = batch.begin_nested(IFLA_LINKINFO);
  batch.attribute(IFLA_INFO_KIND, std::string_view(plan.kind));
  const size_t data = batch.begin_nested(IFLA_INFO_DATA);
  if (macvlan) {
    batch.attribute(IFLA_MACVLAN_MODE, mode);
  } else {
    const auto short_mode = static_cast<uint16_t>(mode);
    batch.attribute(IFLA_IPVLAN_MODE, &short_mode, sizeof(short_mode));
  }
  batch.end_nested(data);
  batch.end_nested(info);
  return batch.send(socket);
}

bool create_link(int socket, const InterfacePlan& plan, int container, Failure& failure) {
  if (plan.kind == "loopback-only") return true;
  int error = -EINVAL;
  if (plan.kind == "veth") {
    error = create_veth(socket, plan, container);
  } else if (plan.kind == "macvlan" || plan.kind == "ipvlan") {
    error = create_on_parent(socket, plan, container);
  }
  if (error == 0) return true;
  if (plan.kind == "veth") {
    failure.say("network", -error, "create veth %s on %s: %s", plan.name.c_str(), plan.parent.c_str(),
                error_text(-error));
  } else {
    failure.say("port", -error, "failed to create the %s port: %s", plan.kind.c_str(), error_text(-error));
  }
  return failure.about(plan.name);
}

void set_up(NetlinkBatch& batch, unsigned index) {
  ifinfomsg link = {};
  link.ifi_index = static_cast<int>(index);
  link.ifi_flags = IFF_UP;
  link.ifi_change = IFF_UP;
  batch.begin(RTM_NEWLINK, 0, link);
}

bool add_address(NetlinkBatch& batch, const char* text, unsigned index) {
  Prefix prefix;
  if (!parse_prefix(text, prefix)) return false;
  ifaddrmsg address = {};
  address.ifa_family = static_cast<uint8_t>(prefix.family);
  address.ifa_prefixlen = static_cast<uint8_t>(prefix.length);
  address.ifa_index = index;
  // The address was chosen by who keeps the book of them: no second in which it cannot be used.
  if (prefix.family == AF_INET6) address.ifa_flags = IFA_F_NODAD;
  batch.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, address);
  batch.attribute(IFA_LOCAL, prefix.bytes, prefix.size());
  batch.attribute(IFA_ADDRESS, prefix.bytes, prefix.size());
  if (prefix.family != AF_INET || prefix.length > 30) return true;
  uint32_t broadcast = 0;
  std::memcpy(&broadcast, prefix.bytes, sizeof(broadcast));
  broadcast |= htonl(prefix.length == 0 ? 0xffffffffU : 0xffffffffU >> prefix.length);
  batch.attribute(IFA_BROADCAST, broadcast);
  return true;
}

bool add_route(NetlinkBatch& batch, const RoutePlan& plan, unsigned index) {
  Prefix destination;
  Prefix gateway;
  if (!parse_prefix(plan.destination.c_str(), destination)) return false;
  if (!plan.gateway.empty() && !parse_address(plan.gateway.c_str(), gateway)) return false;
  rtmsg route = {};
  route.rtm_family = static_cast<uint8_t>(destination.family);
  route.rtm_dst_len = static_cast<uint8_t>(destination.length);
  route.rtm_table = RT_TABLE_MAIN;
  route.rtm_protocol = RTPROT_BOOT;
  route.rtm_type = RTN_UNICAST;
  route.rtm_scope = plan.gateway.empty() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  batch.begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);
  if (destination.length > 0) batch.attribute(RTA_DST, destination.bytes, destination.size());
  if (!plan.gateway.empty()) batch.attribute(RTA_GATEWAY, gateway.bytes, gateway.size());
  batch.attribute(RTA_OIF, index);
  if (plan.metric != 0) batch.attribute(RTA_PRIORITY, plan.metric);
  return true;
}

bool configure_link(int socket, const InterfacePlan& plan, const HostHandles& host, Failure& failure) {
  if (plan.kind == "loopback-only") return true;
  const unsigned index = find_link(plan.name.c_str(), nullptr);
  if (index == 0) return failure.set("network", ENODEV, plan.name);
  // Before addresses: whether IPv6 is on, and how duplicates are looked for, is decided when one is added.
  for (const auto& [key, value] : plan.sysctls) {
    if (!host.write_sysctl(key.c_str(), value.c_str(), failure)) return false;
  }
  NetlinkBatch addresses;
  for (const auto& address : plan.addresses) {
    if (!add_address(addresses, address.c_str(), index)) return failure.set("network", EINVAL, address);
  }
  set_up(addresses, index);
  int error = addresses.send(socket);
  if (error < 0) return failure.set("network", -error, plan.name);
  NetlinkBatch routes;
  for (const auto& route : plan.routes) {
    if (!add_route(routes, route, index)) return failure.set("network", EINVAL, route.destination);
  }
  int failed = 0;
  error = routes.send(socket, &failed);
  if (error == 0) return true;
  return failure.set("network", -error, plan.routes[static_cast<size_t>(failed)].destination);
}

}  // namespace

int set_loopback_up() {
  const int opened = open_route_socket();
  if (opened < 0) return opened;
  const UniqueFd socket(opened);
  NetlinkBatch batch;
  set_up(batch, 1);
  return batch.send(socket.get());
}

bool create_links(const std::vector<InterfacePlan>& interfaces, int container, Failure& failure) {
  if (interfaces.empty()) return true;
  const int opened = open_route_socket();
  if (opened < 0) return failure.set("network", -opened, "socket");
  const UniqueFd socket(opened);
  for (const auto& plan : interfaces) {
    if (!create_link(opened, plan, container, failure)) return false;
  }
  return true;
}

void remove_links(const std::vector<InterfacePlan>& interfaces) {
  const int opened = open_route_socket();
  if (opened < 0) return;
  const UniqueFd socket(opened);
  for (const auto& plan : interfaces) {
    // One that was never made, or went with its namespace, is what is wanted.
    if (plan.kind == "veth") delete_link(opened, plan.host_name);
  }
}

bool configure_links(const std::vector<InterfacePlan>& interfaces, const HostHandles& host, Failure& failure) {
  const int opened = open_route_socket();
  if (opened < 0) return failure.set("network", -opened, "socket");
  const UniqueFd socket(opened);
  NetlinkBatch loopback;
  set_up(loopback, 1);
  const int error = loopback.send(opened);
  if (error < 0) return failure.set("network", -error, "lo");
  for (const auto& plan : interfaces) {
    if (!configure_link(opened, plan, host, failure)) return false;
  }
  return true;
}

bool announce_links(const std::vector<InterfacePlan>& interfaces, int control, Failure& failure) {
  NetlinkBatch batch;
  bool any = false;
  for (const auto& plan : interfaces) {
    if (plan.kind != "veth" || plan.mac.empty()) continue;
    const unsigned index = find_link(plan.name.c_str(), nullptr);
    const int settled = settle_carrier(control, plan.host_name.c_str());
    // A hook may have taken one of them away.
    if (index == 0 || settled == -ENODEV) continue;
    if (settled < 0) return failure.set("network", -settled, plan.host_name);
    // For the notifiers an address that is set is a new one, be it the same.
    ifinfomsg link = {};
    link.ifi_index = static_cast<int>(index);
    batch.begin(RTM_NEWLINK, 0, link);
    add_hardware_address(batch, plan);
    any = true;
  }
  if (!any) return true;
  const int opened = open_route_socket();
  if (opened < 0) return failure.set("network", -opened, "socket");
  const UniqueFd socket(opened);
  const int error = batch.send(opened);
  return error == 0 || failure.set("network", -error, "announce");
}

}  // namespace gantry::shim
