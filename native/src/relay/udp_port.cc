// UDP: each client address has a socket of its own towards the container, so that answers find their way back.
// A flow that is idle for a while is forgotten.

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <list>
#include <unordered_map>

#include "relay/port.h"

namespace gantry::relay {
namespace {

constexpr int64_t kFlowIdleSeconds = 90;  // as long as docker-proxy keeps one
constexpr size_t kMaxFlowsPerPort = 4096;
constexpr int kDatagramsPerTurn = 64;

// The largest datagram; one buffer is enough for one thread.
std::array<uint8_t, 65536> buffer;

// Where a datagram was sent to, and so from where its answer must come (the host may have many addresses).
struct LocalAddress {
  in_addr v4{};
  in6_pktinfo v6{};
};

// Control data for one packet-info message of either family.
union PacketInfo {
  cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(in_pktinfo))];
};

LocalAddress local_address(msghdr& message) {
  LocalAddress local;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      memcpy(&info, CMSG_DATA(part), sizeof info);
      local.v4 = info.ipi_spec_dst;
    } else if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
      memcpy(&local.v6, CMSG_DATA(part), sizeof local.v6);
      // The link matters for link-local addresses only; for others the route decides.
      if (!IN6_IS_ADDR_LINKLOCAL(&local.v6.ipi6_addr)) local.v6.ipi6_ifindex = 0;
    }
  }
  return local;
}

template <typename Info>
void set_source(msghdr& message, PacketInfo& control, int level, int type, const Info& info) {
  message.msg_control = &control;
  message.msg_controllen = CMSG_SPACE(sizeof info);
  control.header = {.cmsg_len = CMSG_LEN(sizeof info), .cmsg_level = level, .cmsg_type = type};
  memcpy(CMSG_DATA(&control.header), &info, sizeof info);
}

class UdpPort;

class Flow final : public Handler {
 public:
  Flow(UdpPort& port, UniqueFd socket, const Address& client, const LocalAddress& local)
      : port_(port), socket_(std::move(socket)), client_(client), local_(local) {}

  void on_events(uint32_t events) override;
  int fd() const { return socket_.get(); }

  int64_t last_used = 0;

 private:
  friend class UdpPort;
  UdpPort& port_;
  UniqueFd socket_;
  Address client_;
  LocalAddress local_;
  std::string key_;
};

class UdpPort final : public Port, public Handler {
 public:
  UdpPort(EventLoop& loop, UniqueFd socket, const Address& target)
      : loop_(loop), socket_(std::move(socket)), target_(target) {}

  void close() override {
    socket_.reset();
    close_all();
  }
  Handler* handler() override { return this; }

  bool start(int family) {
    int on = 1;
    int result = family == AF_INET ? setsockopt(socket_.get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on)
                                   : setsockopt(socket_.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    return result == 0 && loop_.watch(socket_.get(), EPOLLIN, this);
  }

  // Flows to where the container was are of no use any more.
  void set_target(const Address& target) override {
    target_ = target;
    close_all();
  }
  size_t active() const override { return flows_.size(); }
  bool on_tick() override {
    while (!flows_.empty() && loop_.now() - flows_.back()->last_used > kFlowIdleSeconds) close_flow(flows_.back().get());
    return !flows_.empty();
  }

  // A client's datagram came.
  void on_events(uint32_t) override {
    for (int i = 0; i < kDatagramsPerTurn; i++) {
      Address client;
      iovec data{buffer.data(), buffer.size()};
      PacketInfo control{};
      msghdr message{};
      message.msg_name = &client.storage;
      message.msg_namelen = sizeof client.storage;
      message.msg_iov = &data;
      message.msg_iovlen = 1;
      message.msg_control = &control;
      message.msg_controllen = sizeof control;
      ssize_t size = recvmsg(socket_.get(), &message, 0);
      if (size < 0 && errno == EAGAIN) return;
      if (size < 0) continue;  // an error that an earlier answer met: a client that is gone
      client.size = message.msg_namelen;
      Flow* flow = find_flow(client, local_address(message));
      if (flow == nullptr) continue;  // no socket to be had: datagrams may be lost
      touch(flow);
      // Refused or full: lost, as on any network.
      (void)send(flow->fd(), buffer.data(), static_cast<size_t>(size), MSG_NOSIGNAL);
    }
  }

  // The container's answer to `flow` is in the buffer.
  void answer(Flow* flow, size_t size) {
    touch(flow);
    iovec data{buffer.data(), size};
    PacketInfo control{};
    msghdr message{};
    message.msg_name = &flow->client_.storage;
    message.msg_namelen = flow->client_.size;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (flow->client_.family() == AF_INET)
      set_source(message, control, IPPROTO_IP, IP_PKTINFO, in_pktinfo{.ipi_ifindex = 0, .ipi_spec_dst = flow->local_.v4, .ipi_addr = {}});
    else
      set_source(message, control, IPPROTO_IPV6, IPV6_PKTINFO, flow->local_.v6);
    (void)sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
  }

 private:
  using FlowList = std::list<std::shared_ptr<Flow>>;

  Flow* find_flow(const Address& client, const LocalAddress& local) {
    std::string key = client.key();
    key.append(reinterpret_cast<const char*>(&local.v4), sizeof local.v4);
    key.append(reinterpret_cast<const char*>(&local.v6.ipi6_addr), sizeof local.v6.ipi6_addr);
    if (auto found = by_key_.find(key); found != by_key_.end()) return found->second->get();
    if (flows_.size() >= kMaxFlowsPerPort) close_flow(flows_.back().get());
    UniqueFd to_container(socket(target_.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!to_container || connect(to_container.get(), target_.get(), target_.size) != 0) return nullptr;
    auto flow = std::make_shared<Flow>(*this, std::move(to_container), client, local);
    flow->key_ = key;
    if (!loop_.watch(flow->fd(), EPOLLIN, flow.get())) return nullptr;
    flows_.push_front(flow);
    by_key_.emplace(std::move(key), flows_.begin());
    return flow.get();
  }

  void touch(Flow* flow) {
    flow->last_used = loop_.now();
    flows_.splice(flows_.begin(), flows_, by_key_.at(flow->key_));
  }

  void close_flow(Flow* flow) {
    auto found = by_key_.find(flow->key_);
    std::shared_ptr<Flow> owner = *found->second;
    flows_.erase(found->second);
    by_key_.erase(found);
    owner->socket_.reset();
    loop_.retire(flow, owner);
  }

  void close_all() {
    while (!flows_.empty()) close_flow(flows_.back().get());
  }

  EventLoop& loop_;
  UniqueFd socket_;
  Address target_;
  FlowList flows_;  // the one used last comes first
  std::unordered_map<std::string, FlowList::iterator> by_key_;
};

void Flow::on_events(uint32_t) {
  for (int i = 0; i < kDatagramsPerTurn; i++) {
    ssize_t size = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EAGAIN) return;
    // ECONNREFUSED: nothing listens in the container (yet). Reading the error clears it.
    if (size < 0) continue;
    port_.answer(this, static_cast<size_t>(size));
  }
}

}  // namespace

std::unique_ptr<Port> open_udp_port(EventLoop& loop, const Address& host, const Address& target) {
  UniqueFd socket = bind_socket(host, SOCK_DGRAM, false);
  if (!socket) return nullptr;
  auto port = std::make_unique<UdpPort>(loop, std::move(socket), target);
  return port->start(host.family()) ? std::move(port) : nullptr;
}

}  // namespace gantry::relay
