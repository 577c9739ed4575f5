#include "kernel/container_links.h"

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>

#include <exception>
#include <functional>
#include <thread>

#include "kernel/carrier.h"
#include "kernel/ip_prefix.h"
#include "kernel/rtnetlink.h"
#include "kernel/syscall_error.h"
#include "kernel/unique_fd.h"

namespace gantry {
namespace {

constexpr const char* kAttach = "attach interface";
constexpr const char* kDetach = "detach interface";
constexpr const char* kRoutes = "set default routes";

UniqueFd open_namespace(int pid, const char* step) {
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/net";
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw_errno("open", path, step);
  return fd;
}

// Runs `work` on a thread in that network namespace; the thread ends with it, so no other work ever sees the namespace.
void in_namespace(int netns, const char* step, const std::function<void()>& work) {
  std::exception_ptr failure;
  std::thread([&] {
    try {
      if (setns(netns, CLONE_NEWNET) != 0) throw_errno("setns", {}, step);
      work();
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
}

ifinfomsg link_message(int index = 0) {
  ifinfomsg body = {};
  body.ifi_family = AF_UNSPEC;
  body.ifi_index = index;
  return body;
}

int index_of(const std::string& name, const char* step) {
  const unsigned index = if_nametoindex(name.c_str());
  if (index == 0) throw_errno("if_nametoindex", name, step);
  return static_cast<int>(index);
}

uint32_t mtu_of(const ContainerInterface& interface) {
  if (interface.mtu != 0) return interface.mtu;
  uint32_t mtu = 0;
  RtSocket socket;
  const int index = index_of(interface.parent, kAttach);
  RtRequest request(RTM_GETLINK, NLM_F_DUMP, link_message());
  socket.dump(request, kAttach, [] {}, [&](const nlmsghdr& message) {
    const auto* body = static_cast<const ifinfomsg*>(NLMSG_DATA(&message));
    if (body->ifi_index == index) mtu = RtAttributes(message, sizeof(*body)).u32(IFLA_MTU);
  });
  return mtu;
}

// Name, MAC address, MTU and namespace of the end that the container sees.
void add_inner_end(RtRequest& request, const ContainerInterface& interface, uint32_t mtu, int netns) {
  request.text(IFLA_IFNAME, interface.name);
  if (!interface.mac.empty()) request.attribute(IFLA_ADDRESS, interface.mac.data(), interface.mac.size());
  if (mtu != 0) request.u32(IFLA_MTU, mtu);
  request.u32(IFLA_NET_NS_FD, static_cast<uint32_t>(netns));
}

void create_veth(RtSocket& socket, const ContainerInterface& interface, int netns) {
  const uint32_t mtu = mtu_of(interface);
  RtRequest request(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, link_message());
  request.text(IFLA_IFNAME, interface.host_name);
  if (mtu != 0) request.u32(IFLA_MTU, mtu);
  request.nested(IFLA_LINKINFO, [&](RtRequest& info) {
    info.text(IFLA_INFO_KIND, "veth");
    info.nested(IFLA_INFO_DATA, [&](RtRequest& data) {
      data.nested(VETH_INFO_PEER, [&](RtRequest& peer) {
        const ifinfomsg body = link_message();
        peer.raw(&body, sizeof(body));
        add_inner_end(peer, interface, mtu, netns);
      });
    });
  });
  socket.change(request, kAttach, interface.host_name);
}

void join_bridge(RtSocket& socket, const ContainerInterface& interface) {
  ifinfomsg body = link_message(index_of(interface.host_name, kAttach));
  body.ifi_change = IFF_UP;
  body.ifi_flags = IFF_UP;
  RtRequest request(RTM_NEWLINK, NLM_F_ACK, body);
  request.u32(IFLA_MASTER, static_cast<uint32_t>(index_of(interface.parent, kAttach)));
  socket.change(request, kAttach, interface.host_name);
  if (!interface.isolated) return;
  ifinfomsg port = link_message(index_of(interface.host_name, kAttach));
  port.ifi_family = AF_BRIDGE;
  RtRequest isolate(RTM_SETLINK, NLM_F_ACK, port);
  isolate.nested(IFLA_PROTINFO | NLA_F_NESTED, [](RtRequest& info) { info.u8(IFLA_BRPORT_ISOLATED, 1); });
  socket.change(isolate, kAttach, interface.host_name);
}

void create_child_link(RtSocket& socket, const ContainerInterface& interface, int netns) {
  RtRequest request(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, link_message());
  request.u32(IFLA_LINK, static_cast<uint32_t>(index_of(interface.parent, kAttach)));
  add_inner_end(request, interface, interface.mtu, netns);
  request.nested(IFLA_LINKINFO, [&](RtRequest& info) {
    info.text(IFLA_INFO_KIND, interface.kind);
    info.nested(IFLA_INFO_DATA, [&](RtRequest& data) {
      if (interface.kind == "macvlan") data.u32(IFLA_MACVLAN_MODE, interface.mode);
      else data.u16(IFLA_IPVLAN_MODE, static_cast<uint16_t>(interface.mode));
    });
  });
  socket.change(request, kAttach, interface.name);
}

// /proc/sys/net shows the namespace of the thread that looks.
void write_sysctl(const std::string& name, const std::string& value) {
  const std::string path = "/proc/sys/" + name;
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) throw_errno("open", path, kAttach);
  if (write(fd.get(), value.data(), value.size()) < 0) throw_errno("write", path, kAttach);
}

void add_address(RtSocket& socket, int index, const std::string& cidr) {
  const IpPrefix prefix = parse_ip_prefix(cidr);
  ifaddrmsg body = {};
  body.ifa_family = prefix.family;
  body.ifa_prefixlen = prefix.bits;
  body.ifa_index = static_cast<unsigned>(index);
  RtRequest request(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body);
  request.attribute(IFA_LOCAL, prefix.bytes.data(), prefix.size);
  request.attribute(IFA_ADDRESS, prefix.bytes.data(), prefix.size);
  if (const auto broadcast = broadcast_of(prefix)) request.u32(IFA_BROADCAST, *broadcast);
  // The engine gives each address once: no need to wait for duplicate address detection.
  if (prefix.family == AF_INET6) request.u32(IFA_FLAGS, IFA_F_NODAD | IFA_F_PERMANENT);
  socket.change(request, kAttach, cidr);
}

void set_up(RtSocket& socket, int index, const std::string& name) {
  ifinfomsg body = link_message(index);
  body.ifi_change = IFF_UP;
  body.ifi_flags = IFF_UP;
  RtRequest request(RTM_NEWLINK, NLM_F_ACK, body);
  socket.change(request, kAttach, name);
}

rtmsg route_message(uint8_t family, uint8_t bits) {
  rtmsg body = {};
  body.rtm_family = family;
  body.rtm_dst_len = bits;
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_protocol = RTPROT_BOOT;
  body.rtm_type = RTN_UNICAST;
  return body;
}

void add_route(RtSocket& socket, const ContainerRoute& route, int index, const char* step) {
  const IpPrefix destination = parse_ip_prefix(route.destination);
  rtmsg body = route_message(destination.family, destination.bits);
  body.rtm_scope = route.gateway.empty() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  RtRequest request(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, body);
  if (destination.bits != 0) request.attribute(RTA_DST, destination.bytes.data(), destination.size);
  if (!route.gateway.empty()) {
    const IpPrefix gateway = parse_ip_prefix(route.gateway);
    request.attribute(RTA_GATEWAY, gateway.bytes.data(), gateway.size);
  }
  // Without a link the kernel finds the one that reaches the gateway.
  if (index != 0) request.u32(RTA_OIF, static_cast<uint32_t>(index));
  if (route.metric != 0) request.u32(RTA_PRIORITY, route.metric);
  socket.change(request, step, route.destination);
}

void configure(const ContainerInterface& interface) {
  for (const auto& [name, value] : interface.sysctls) write_sysctl(name, value);
  RtSocket socket;
  const int index = index_of(interface.name, kAttach);
  for (const std::string& address : interface.addresses) add_address(socket, index, address);
  set_up(socket, index, interface.name);
  for (const ContainerRoute& route : interface.routes) add_route(socket, route, index, kAttach);
}

// Tells neighbours again who has the addresses, now that the bridge's port is enabled: what the kernel told when the
// link came up was lost. For its notifiers a MAC address that is set is a new one, be it the same.
void announce(const ContainerInterface& interface, int control) {
  if (interface.kind != "veth" || interface.mac.empty()) return;
  const int settled = settle_carrier(control, interface.host_name.c_str());
  if (settled < 0) throw SyscallError(-settled, "ioctl", interface.host_name, kAttach);
  RtSocket socket;
  RtRequest request(RTM_NEWLINK, NLM_F_ACK, link_message(index_of(interface.name, kAttach)));
  request.attribute(IFLA_ADDRESS, interface.mac.data(), interface.mac.size());
  socket.change(request, kAttach, interface.name);
}

void delete_by_name(const std::string& name, const char* step) {
  const unsigned index = if_nametoindex(name.c_str());
  if (index == 0) return;
  RtSocket socket;
  RtRequest request(RTM_DELLINK, NLM_F_ACK, link_message(static_cast<int>(index)));
  try {
    socket.change(request, step, name);
  } catch (const SyscallError& error) {
    if (error.error() != ENODEV) throw;
  }
}

// Whether it is a macvlan or ipvlan link whose parent lies in another namespace: no program of the container makes such a one.
bool is_child_from_outside(RtSocket& socket, int index) {
  bool found = false;
  RtRequest request(RTM_GETLINK, NLM_F_DUMP, link_message());
  socket.dump(request, kDetach, [&] { found = false; }, [&](const nlmsghdr& message) {
    const auto* body = static_cast<const ifinfomsg*>(NLMSG_DATA(&message));
    const RtAttributes link(message, sizeof(*body));
    if (body->ifi_index != index || link.find(IFLA_LINK_NETNSID) == nullptr) return;
    const rtattr* const info = link.find(IFLA_LINKINFO);
    const std::string kind = info == nullptr ? "" : RtAttributes(info).text(IFLA_INFO_KIND);
    found = kind == "macvlan" || kind == "ipvlan";
  });
  return found;
}

void delete_child_link(const std::string& name) {
  const unsigned index = if_nametoindex(name.c_str());
  RtSocket socket;
  if (index != 0 && is_child_from_outside(socket, static_cast<int>(index))) delete_by_name(name, kDetach);
}

// A program may have taken the name for an interface of its own: a pair is known by its end on the host.
void delete_ours(int netns, const std::string& name, const std::string& host_name) {
  if (!host_name.empty()) delete_by_name(host_name, kDetach);
  else in_namespace(netns, kDetach, [&] { delete_child_link(name); });
}

// All default routes of the family; there may be several with different metrics.
void delete_default_routes(RtSocket& socket, uint8_t family) {
  rtmsg body = route_message(family, 0);
  // Those to a gateway and those to a link.
  body.rtm_scope = RT_SCOPE_NOWHERE;
  for (;;) {
    RtRequest request(RTM_DELROUTE, NLM_F_ACK, body);
    try {
      socket.change(request, kRoutes, "default");
    } catch (const SyscallError& error) {
      if (error.error() == ESRCH) return;
      throw;
    }
  }
}

void set_default_route(RtSocket& socket, uint8_t family, const DefaultRoute& way) {
  delete_default_routes(socket, family);
  if (way.gateway.empty() && way.link.empty()) return;
  const char* const everywhere = family == AF_INET ? "0.0.0.0/0" : "::/0";
  const int index = way.gateway.empty() ? index_of(way.link, kRoutes) : 0;
  add_route(socket, {.destination = everywhere, .gateway = way.gateway, .metric = 0}, index, kRoutes);
}

}  // namespace

void attach_interface(int pid, const ContainerInterface& interface) {
  const UniqueFd netns = open_namespace(pid, kAttach);
  RtSocket socket;
  if (interface.kind == "veth") create_veth(socket, interface, netns.get());
  else create_child_link(socket, interface, netns.get());
  try {
    if (interface.kind == "veth") join_bridge(socket, interface);
    const UniqueFd control = open_link_control();
    if (!control) throw_errno("socket", {}, kAttach);
    in_namespace(netns.get(), kAttach, [&] {
      configure(interface);
      announce(interface, control.get());
    });
  } catch (...) {
    delete_ours(netns.get(), interface.name, interface.host_name);
    throw;
  }
}

void detach_interface(int pid, const std::string& name, const std::string& host_name) {
  const UniqueFd netns = open_namespace(pid, kDetach);
  delete_ours(netns.get(), name, host_name);
}

void set_default_routes(int pid, const std::optional<DefaultRoute>& ipv4, const std::optional<DefaultRoute>& ipv6) {
  const UniqueFd netns = open_namespace(pid, kRoutes);
  in_namespace(netns.get(), kRoutes, [&] {
    RtSocket socket;
    if (ipv4) set_default_route(socket, AF_INET, *ipv4);
    if (ipv6) set_default_route(socket, AF_INET6, *ipv6);
  });
}

}  // namespace gantry
