#include "kernel/nft_watch.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <array>
#include <optional>

#include "kernel/syscall_error.h"

namespace gantry {
namespace {

constexpr int kNewGeneration = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWGEN;

uint32_t big_endian(const nlattr* attribute) {
  uint32_t value = 0;
  std::memcpy(&value, reinterpret_cast<const char*>(attribute) + NLA_HDRLEN, sizeof(value));
  return ntohl(value);
}

void read_attribute(const nlattr* attribute, RulesetChange& change) {
  const size_t payload = attribute->nla_len - NLA_HDRLEN;
  switch (attribute->nla_type & NLA_TYPE_MASK) {
    case NFTA_GEN_ID:
      if (payload >= 4) change.generation = big_endian(attribute);
      break;
    case NFTA_GEN_PROC_PID:
      if (payload >= 4) change.process_id = big_endian(attribute);
      break;
    case NFTA_GEN_PROC_NAME: {
      const char* text = reinterpret_cast<const char*>(attribute) + NLA_HDRLEN;
      change.process_name.assign(text, strnlen(text, payload));
      break;
    }
    default:
      break;
  }
}

std::optional<RulesetChange> parse(const nlmsghdr* message) {
  if (message->nlmsg_type != kNewGeneration) return std::nullopt;
  RulesetChange change = {};
  const char* at = static_cast<const char*>(NLMSG_DATA(message)) + NLMSG_ALIGN(sizeof(nfgenmsg));
  const char* end = reinterpret_cast<const char*>(message) + message->nlmsg_len;
  while (end - at >= static_cast<ptrdiff_t>(sizeof(nlattr))) {
    const auto* attribute = reinterpret_cast<const nlattr*>(at);
    if (attribute->nla_len < NLA_HDRLEN || attribute->nla_len > end - at) break;
    read_attribute(attribute, change);
    at += NLA_ALIGN(attribute->nla_len);
  }
  return change;
}

}  // namespace

UniqueFd open_nft_watch() {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER));
  if (!fd) throw_errno("socket", {}, "watch nftables");
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    throw_errno("bind", {}, "watch nftables");
  }
  const int group = NFNLGRP_NFTABLES;
  if (setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0) {
    throw_errno("setsockopt", {}, "watch nftables");
  }
  return fd;
}

std::vector<RulesetChange> read_nft_changes(int fd) {
  std::vector<RulesetChange> changes;
  alignas(nlmsghdr) std::array<char, 64 * 1024> buffer;
  for (;;) {
    sockaddr_nl sender = {};
    socklen_t sender_size = sizeof(sender);
    const ssize_t length = recvfrom(fd, buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&sender), &sender_size);
    if (length < 0) {
      if (errno == EAGAIN) return changes;
      if (errno == EINTR) continue;
      if (errno != ENOBUFS) throw_errno("recvfrom", {}, "watch nftables");
      changes.push_back({.generation = 0, .process_id = 0, .process_name = {}, .lost = true});
      continue;
    }
    // Only the kernel (port 0) is believed: any process may send to a netlink socket.
    if (sender.nl_pid != 0) continue;
    auto left = static_cast<unsigned>(length);
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (const auto change = parse(message)) changes.push_back(*change);
    }
  }
}

}  // namespace gantry
