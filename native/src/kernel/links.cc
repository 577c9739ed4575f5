#include "kernel/links.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cstdio>
#include <map>

#include "kernel/ip_prefix.h"
#include "kernel/rtnetlink.h"
#include "kernel/syscall_error.h"

namespace gantry {
namespace {

// IFF_LOWER_UP of linux/if.h, which cannot be included together with net/if.h.
constexpr unsigned kLowerUp = 1U << 16;

std::string format_address(int family, const std::vector<uint8_t>& bytes) {
  if (bytes.size() < (family == AF_INET ? 4U : 16U)) return {};
  std::array<char, INET6_ADDRSTRLEN> text;
  return inet_ntop(family, bytes.data(), text.data(), text.size()) != nullptr ? text.data() : "";
}

std::string format_mac(const std::vector<uint8_t>& bytes) {
  if (bytes.size() != 6) return {};
  std::array<char, 18> text;
  std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2], bytes[3],
                bytes[4], bytes[5]);
  return text.data();
}

int index_of(const std::string& name, const char* step) {
  const unsigned index = if_nametoindex(name.c_str());
  if (index == 0) throw_errno("if_nametoindex", name, step);
  return static_cast<int>(index);
}

ifinfomsg link_body(int index = 0) {
  ifinfomsg body = {};
  body.ifi_family = AF_UNSPEC;
  body.ifi_index = index;
  return body;
}

Link parse_link(const nlmsghdr& message) {
  const auto* body = static_cast<const ifinfomsg*>(NLMSG_DATA(&message));
  const RtAttributes attributes(message, sizeof(ifinfomsg));
  return {
      .index = body->ifi_index,
      .name = attributes.text(IFLA_IFNAME),
      .alias = attributes.text(IFLA_IFALIAS),
      .kind = RtAttributes(attributes.find(IFLA_LINKINFO)).text(IFLA_INFO_KIND),
      .mac = format_mac(attributes.bytes(IFLA_ADDRESS)),
      .mtu = attributes.u32(IFLA_MTU),
      .up = (body->ifi_flags & IFF_UP) != 0,
      .carrier = (body->ifi_flags & kLowerUp) != 0,
      .master = static_cast<int>(attributes.u32(IFLA_MASTER)),
      .link = static_cast<int>(attributes.u32(IFLA_LINK)),
      .addresses = {},
  };
}

std::map<int, std::vector<LinkAddress>> addresses_by_link(RtSocket& socket) {
  std::map<int, std::vector<LinkAddress>> result;
  RtRequest request(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{});
  socket.dump(request, "list addresses", [&] { result.clear(); }, [&](const nlmsghdr& message) {
    if (message.nlmsg_type != RTM_NEWADDR) return;
    const auto* body = static_cast<const ifaddrmsg*>(NLMSG_DATA(&message));
    const RtAttributes attributes(message, sizeof(ifaddrmsg));
    // On a point-to-point link IFA_ADDRESS is the other side; IFA_LOCAL is ours, and IPv6 has only the former.
    std::vector<uint8_t> bytes = attributes.bytes(IFA_LOCAL);
    if (bytes.empty()) bytes = attributes.bytes(IFA_ADDRESS);
    const std::string address = format_address(body->ifa_family, bytes);
    if (address.empty()) return;
    result[static_cast<int>(body->ifa_index)].push_back(
        {address + "/" + std::to_string(body->ifa_prefixlen), body->ifa_scope});
  });
  return result;
}

Route parse_route(const nlmsghdr& message) {
  const auto* body = static_cast<const rtmsg*>(NLMSG_DATA(&message));
  const RtAttributes attributes(message, sizeof(rtmsg));
  std::string destination = format_address(body->rtm_family, attributes.bytes(RTA_DST));
  if (destination.empty()) destination = body->rtm_family == AF_INET ? "0.0.0.0" : "::";
  return {
      .destination = destination + "/" + std::to_string(body->rtm_dst_len),
      .gateway = format_address(body->rtm_family, attributes.bytes(RTA_GATEWAY)),
      .link = static_cast<int>(attributes.u32(RTA_OIF)),
      .source = format_address(body->rtm_family, attributes.bytes(RTA_PREFSRC)),
      .metric = attributes.u32(RTA_PRIORITY),
  };
}

void add_kind_data(RtRequest& request, const NewLink& link) {
  if (link.kind == "bridge") {
    request.nested(IFLA_INFO_DATA, [&](RtRequest& data) {
      if (link.no_multicast_snooping) data.u8(IFLA_BR_MCAST_SNOOPING, 0);
    });
  } else if (link.kind == "vlan") {
    request.nested(IFLA_INFO_DATA, [&](RtRequest& data) { data.u16(IFLA_VLAN_ID, static_cast<uint16_t>(link.mode)); });
  } else if (link.kind == "macvlan") {
    request.nested(IFLA_INFO_DATA, [&](RtRequest& data) { data.u32(IFLA_MACVLAN_MODE, link.mode); });
  } else if (link.kind == "ipvlan") {
    request.nested(IFLA_INFO_DATA, [&](RtRequest& data) { data.u16(IFLA_IPVLAN_MODE, static_cast<uint16_t>(link.mode)); });
  }
}

RtRequest address_request(uint16_t type, uint16_t flags, const std::string& name, const std::string& cidr,
                          const char* step) {
  const IpPrefix prefix = parse_ip_prefix(cidr);
  ifaddrmsg body = {};
  body.ifa_family = prefix.family;
  body.ifa_prefixlen = prefix.bits;
  body.ifa_index = static_cast<unsigned>(index_of(name, step));
  body.ifa_flags = prefix.family == AF_INET6 ? IFA_F_NODAD : 0;
  RtRequest request(type, flags, body);
  request.attribute(IFA_LOCAL, prefix.bytes.data(), prefix.size);
  request.attribute(IFA_ADDRESS, prefix.bytes.data(), prefix.size);
  if (const auto broadcast = broadcast_of(prefix)) request.u32(IFA_BROADCAST, *broadcast);
  return request;
}

}  // namespace

std::vector<Link> list_links() {
  RtSocket socket;
  std::vector<Link> links;
  RtRequest request(RTM_GETLINK, NLM_F_DUMP, link_body());
  socket.dump(request, "list links", [&] { links.clear(); }, [&](const nlmsghdr& message) {
    if (message.nlmsg_type == RTM_NEWLINK) links.push_back(parse_link(message));
  });
  auto addresses = addresses_by_link(socket);
  for (auto& link : links) link.addresses = std::move(addresses[link.index]);
  return links;
}

std::vector<Route> list_routes() {
  RtSocket socket;
  std::vector<Route> routes;
  RtRequest request(RTM_GETROUTE, NLM_F_DUMP, rtmsg{});
  socket.dump(request, "list routes", [&] { routes.clear(); }, [&](const nlmsghdr& message) {
    if (message.nlmsg_type != RTM_NEWROUTE) return;
    const auto* body = static_cast<const rtmsg*>(NLMSG_DATA(&message));
    if (body->rtm_table != RT_TABLE_MAIN || body->rtm_type != RTN_UNICAST) return;
    if (body->rtm_family != AF_INET && body->rtm_family != AF_INET6) return;
    routes.push_back(parse_route(message));
  });
  return routes;
}

void create_link(const NewLink& link) {
  RtSocket socket;
  RtRequest request(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, link_body());
  request.text(IFLA_IFNAME, link.name);
  if (!link.mac.empty()) request.attribute(IFLA_ADDRESS, link.mac.data(), link.mac.size());
  // A bridge follows the smallest of its ports unless its MTU was changed after it was made.
  const bool mtu_later = link.kind == "bridge" && link.mtu != 0;
  if (link.mtu != 0 && !mtu_later) request.u32(IFLA_MTU, link.mtu);
  if (!link.parent.empty()) request.u32(IFLA_LINK, static_cast<uint32_t>(index_of(link.parent, "create link")));
  request.nested(IFLA_LINKINFO, [&](RtRequest& info) {
    info.text(IFLA_INFO_KIND, link.kind);
    add_kind_data(info, link);
  });
  socket.change(request, "create link", link.name);
  if (!mtu_later) return;
  try {
    set_link_mtu(link.name, link.mtu);
  } catch (const SyscallError&) {
    delete_link(link.name);
    throw;
  }
}

void delete_link(const std::string& name) {
  RtSocket socket;
  RtRequest request(RTM_DELLINK, NLM_F_ACK, link_body(index_of(name, "delete link")));
  socket.change(request, "delete link", name);
}

void set_link_up(const std::string& name, bool up) {
  RtSocket socket;
  ifinfomsg body = link_body(index_of(name, "set link up"));
  body.ifi_change = IFF_UP;
  body.ifi_flags = up ? IFF_UP : 0;
  RtRequest request(RTM_NEWLINK, NLM_F_ACK, body);
  socket.change(request, up ? "set link up" : "set link down", name);
}

void set_link_master(const std::string& name, const std::string& master) {
  RtSocket socket;
  RtRequest request(RTM_NEWLINK, NLM_F_ACK, link_body(index_of(name, "set link master")));
  request.u32(IFLA_MASTER, master.empty() ? 0 : static_cast<uint32_t>(index_of(master, "set link master")));
  socket.change(request, "set link master", name);
}

void set_link_mtu(const std::string& name, uint32_t mtu) {
  RtSocket socket;
  RtRequest request(RTM_NEWLINK, NLM_F_ACK, link_body(index_of(name, "set link mtu")));
  request.u32(IFLA_MTU, mtu);
  socket.change(request, "set link mtu", name);
}

void rename_link(const std::string& name, const std::string& to, const std::string& alias) {
  RtSocket socket;
  RtRequest request(RTM_NEWLINK, NLM_F_ACK, link_body(index_of(name, "rename link")));
  request.text(IFLA_IFNAME, to);
  // The alias is not a C string: its length counts.
  if (!alias.empty()) request.attribute(IFLA_IFALIAS, alias.data(), alias.size());
  socket.change(request, "rename link", name);
}

void add_address(const std::string& name, const std::string& cidr) {
  RtSocket socket;
  RtRequest request = address_request(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, name, cidr, "add address");
  socket.change(request, "add address", name + " " + cidr);
}

void remove_address(const std::string& name, const std::string& cidr) {
  RtSocket socket;
  RtRequest request = address_request(RTM_DELADDR, NLM_F_ACK, name, cidr, "remove address");
  socket.change(request, "remove address", name + " " + cidr);
}

}  // namespace gantry
