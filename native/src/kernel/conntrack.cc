#include "kernel/conntrack.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernel/syscall_error.h"
#include "kernel/unique_fd.h"

namespace gantry {
namespace {

constexpr const char* kStep = "forget UDP flows";
constexpr size_t kReceiveBytes = 64 * 1024;

// One request with the header of nfnetlink, and room for what follows.
class Request {
 public:
  Request(uint8_t message, uint16_t flags, uint8_t family) {
    nlmsghdr header = {};
    header.nlmsg_type = static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message);
    header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    const nfgenmsg body = {family, NFNETLINK_V0, 0};
    append(&header, sizeof(header));
    append(&body, sizeof(body));
  }

  // A whole attribute as the kernel sent it.
  void copy(const nlattr* attribute) { append(attribute, attribute->nla_len); }

  const std::vector<char>& bytes() {
    reinterpret_cast<nlmsghdr*>(bytes_.data())->nlmsg_len = static_cast<uint32_t>(bytes_.size());
    return bytes_;
  }

 private:
  void append(const void* data, size_t size) {
    const size_t at = bytes_.size();
    bytes_.resize(at + NLMSG_ALIGN(size));
    std::memcpy(bytes_.data() + at, data, size);
  }

  std::vector<char> bytes_;
};

// Attributes in a row; unknown ones are passed over.
const nlattr* find(const char* data, size_t size, uint16_t type) {
  while (size >= NLA_HDRLEN) {
    const auto* attribute = reinterpret_cast<const nlattr*>(data);
    if (attribute->nla_len < NLA_HDRLEN || attribute->nla_len > size) return nullptr;
    if ((attribute->nla_type & NLA_TYPE_MASK) == type) return attribute;
    const size_t step = NLA_ALIGN(attribute->nla_len);
    if (step >= size) return nullptr;
    data += step;
    size -= step;
  }
  return nullptr;
}

const char* payload(const nlattr* attribute) { return reinterpret_cast<const char*>(attribute) + NLA_HDRLEN; }
size_t payload_size(const nlattr* attribute) { return attribute->nla_len - NLA_HDRLEN; }

const nlattr* find_in(const nlattr* parent, uint16_t type) {
  return parent == nullptr ? nullptr : find(payload(parent), payload_size(parent), type);
}

// Raw bytes of the addresses that this host has.
std::set<std::string> local_addresses() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) throw_errno("getifaddrs", {}, kStep);
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, freeifaddrs);
  std::set<std::string> addresses;
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr) continue;
    if (each->ifa_addr->sa_family == AF_INET) {
      const auto& address = reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr;
      addresses.emplace(reinterpret_cast<const char*>(&address), sizeof(address));
    } else if (each->ifa_addr->sa_family == AF_INET6) {
      const auto& address = reinterpret_cast<const sockaddr_in6*>(each->ifa_addr)->sin6_addr;
      addresses.emplace(reinterpret_cast<const char*>(&address), sizeof(address));
    }
  }
  return addresses;
}

class Socket {
 public:
  Socket() : fd_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER)) {
    if (!fd_) throw_errno("socket", {}, kStep);
  }

  void send(Request& request) {
    const std::vector<char>& bytes = request.bytes();
    if (::send(fd_.get(), bytes.data(), bytes.size(), 0) < 0) throw_errno("send", {}, kStep);
  }

  // Messages until the end of a dump or an acknowledgement; returns its errno.
  int receive(const std::function<void(const nlmsghdr&)>& each) {
    alignas(nlmsghdr) std::array<char, kReceiveBytes> buffer;
    for (;;) {
      const ssize_t length = recv(fd_.get(), buffer.data(), buffer.size(), 0);
      if (length < 0 && errno == EINTR) continue;
      if (length < 0) throw_errno("recv", {}, kStep);
      auto left = static_cast<unsigned>(length);
      for (auto* message = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(message, left);
           message = NLMSG_NEXT(message, left)) {
        if (message->nlmsg_type == NLMSG_DONE) return 0;
        if (message->nlmsg_type == NLMSG_ERROR) return -static_cast<const nlmsgerr*>(NLMSG_DATA(message))->error;
        each(*message);
      }
    }
  }

 private:
  UniqueFd fd_;
};

// The request that deletes the flow of this message, or nothing when it is not one to be forgotten.
std::unique_ptr<Request> deletion_of(const nlmsghdr& message, uint8_t family, const std::set<uint16_t>& ports,
                                     const std::set<std::string>& local) {
  const size_t head = NLMSG_LENGTH(sizeof(nfgenmsg));
  if (message.nlmsg_len < head) return nullptr;
  const char* data = reinterpret_cast<const char*>(&message) + head;
  const size_t size = message.nlmsg_len - head;
  const nlattr* tuple = find(data, size, CTA_TUPLE_ORIG);
  const nlattr* transport = find_in(tuple, CTA_TUPLE_PROTO);
  const nlattr* protocol = find_in(transport, CTA_PROTO_NUM);
  const nlattr* port = find_in(transport, CTA_PROTO_DST_PORT);
  const nlattr* address = find_in(find_in(tuple, CTA_TUPLE_IP), family == AF_INET ? CTA_IP_V4_DST : CTA_IP_V6_DST);
  if (protocol == nullptr || port == nullptr || address == nullptr || *payload(protocol) != IPPROTO_UDP) return nullptr;
  uint16_t number = 0;
  std::memcpy(&number, payload(port), sizeof(number));
  if (!ports.contains(ntohs(number)) || !local.contains(std::string(payload(address), payload_size(address)))) {
    return nullptr;
  }
  auto request = std::make_unique<Request>(IPCTNL_MSG_CT_DELETE, NLM_F_ACK, family);
  request->copy(tuple);
  for (const uint16_t type : {CTA_ID, CTA_ZONE}) {
    if (const nlattr* attribute = find(data, size, type)) request->copy(attribute);
  }
  return request;
}

unsigned forget(uint8_t family, const std::set<uint16_t>& ports, const std::set<std::string>& local) {
  std::vector<std::unique_ptr<Request>> deletions;
  Socket listing;
  Request dump(IPCTNL_MSG_CT_GET, NLM_F_DUMP, family);
  listing.send(dump);
  const int error = listing.receive([&](const nlmsghdr& message) {
    if (auto request = deletion_of(message, family, ports, local)) deletions.push_back(std::move(request));
  });
  if (error != 0) throw SyscallError(error, "ctnetlink", {}, kStep);
  Socket changing;
  unsigned count = 0;
  for (const auto& request : deletions) {
    changing.send(*request);
    const int failure = changing.receive([](const nlmsghdr&) {});
    // It may have ended by itself.
    if (failure != 0 && failure != ENOENT) throw SyscallError(failure, "ctnetlink", {}, kStep);
    if (failure == 0) ++count;
  }
  return count;
}

}  // namespace

unsigned forget_udp_flows(const std::set<uint16_t>& ports) {
  const std::set<std::string> local = local_addresses();
  return forget(AF_INET, ports, local) + forget(AF_INET6, ports, local);
}

}  // namespace gantry
