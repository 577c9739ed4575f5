#include "kernel/nft_elements.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "kernel/syscall_error.h"
#include "kernel/unique_fd.h"

namespace gantry {
namespace {

constexpr const char* kStep = "change map elements";
// An attribute has at most 64 KiB.
constexpr size_t kElementsPerMessage = 400;

// A transaction of nfnetlink messages.
class Transaction {
 public:
  Transaction() { bracket(NFNL_MSG_BATCH_BEGIN); }

  void change(const std::string& table, const ElementChange& change) {
    const size_t key_size = change.keys.size() / change.count;
    const size_t value_size = change.values.size() / change.count;
    for (size_t at = 0; at < change.count;) {
      const size_t end = std::min(change.count, at + kElementsPerMessage);
      const auto type = static_cast<uint16_t>(change.remove ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM);
      begin(static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), change.remove ? 0 : NLM_F_CREATE, NFPROTO_INET);
      text(NFTA_SET_ELEM_LIST_TABLE, table);
      text(NFTA_SET_ELEM_LIST_SET, change.map);
      const size_t list = open(NFTA_SET_ELEM_LIST_ELEMENTS);
      for (; at < end; ++at) {
        const size_t element = open(NFTA_LIST_ELEM);
        value(NFTA_SET_ELEM_KEY, change.keys.subspan(at * key_size, key_size));
        if (!change.remove && value_size > 0) value(NFTA_SET_ELEM_DATA, change.values.subspan(at * value_size, value_size));
        close(element);
      }
      close(list);
    }
  }

  void send() {
    bracket(NFNL_MSG_BATCH_END);
    finish_message();
    const UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
    if (!socket) throw_errno("socket", {}, kStep);
    const int on = 1;
    setsockopt(socket.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
    const auto size = static_cast<int>(bytes_.size() * 2);
    setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    const timeval patience = {5, 0};
    setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    sockaddr_nl kernel = {};
    kernel.nl_family = AF_NETLINK;
    if (sendto(socket.get(), bytes_.data(), bytes_.size(), 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof(kernel)) < 0) {
      throw_errno("sendto", {}, kStep);
    }
    await_answers(socket.get());
  }

 private:
  void append(const void* data, size_t length) {
    const auto* from = static_cast<const uint8_t*>(data);
    bytes_.insert(bytes_.end(), from, from + length);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  }

  void finish_message() {
    if (bytes_.empty()) return;
    const auto length = static_cast<uint32_t>(bytes_.size() - message_);
    std::memcpy(bytes_.data() + message_, &length, sizeof(length));
  }

  void begin(uint16_t type, uint16_t flags, uint8_t family, uint16_t resource = 0) {
    finish_message();
    message_ = bytes_.size();
    const bool answered = type >= NLMSG_MIN_TYPE + 2;
    if (answered) ++answers_;
    nlmsghdr header = {};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags | (answered ? NLM_F_ACK : 0));
    header.nlmsg_seq = ++sequence_;
    append(&header, sizeof(header));
    nfgenmsg fixed = {};
    fixed.nfgen_family = family;
    fixed.res_id = htons(resource);
    append(&fixed, sizeof(fixed));
  }

  void bracket(uint16_t type) { begin(type, 0, 0, NFNL_SUBSYS_NFTABLES); }

  size_t open(uint16_t type) {
    const size_t position = bytes_.size();
    const nlattr header = {sizeof(nlattr), static_cast<uint16_t>(type | NLA_F_NESTED)};
    append(&header, sizeof(header));
    return position;
  }

  void close(size_t position) {
    const auto length = static_cast<uint16_t>(bytes_.size() - position);
    std::memcpy(bytes_.data() + position, &length, sizeof(length));
  }

  void attribute(uint16_t type, const void* data, size_t length) {
    const nlattr header = {static_cast<uint16_t>(sizeof(nlattr) + length), type};
    append(&header, sizeof(header));
    append(data, length);
  }

  void text(uint16_t type, const std::string& value) { attribute(type, value.c_str(), value.size() + 1); }

  void value(uint16_t type, std::span<const uint8_t> bytes) {
    const size_t nested = open(type);
    attribute(NFTA_DATA_VALUE, bytes.data(), bytes.size());
    close(nested);
  }

  // The first error undoes the whole transaction, so nothing behind it matters.
  void await_answers(int socket) {
    for (uint32_t answered = 0; answered < answers_;) {
      alignas(nlmsghdr) char buffer[8192];
      sockaddr_nl sender = {};
      socklen_t sender_size = sizeof(sender);
      const ssize_t length =
          recvfrom(socket, buffer, sizeof(buffer), 0, reinterpret_cast<sockaddr*>(&sender), &sender_size);
      if (length < 0 && errno == EINTR) continue;
      if (length < 0) throw_errno("recvfrom", {}, kStep);
      if (sender.nl_pid != 0) continue;
      auto left = static_cast<unsigned>(length);
      for (auto* message = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(message, left);
           message = NLMSG_NEXT(message, left)) {
        if (message->nlmsg_type != NLMSG_ERROR) continue;
        ++answered;
        const int error = static_cast<nlmsgerr*>(NLMSG_DATA(message))->error;
        if (error != 0) throw SyscallError(-error, "nf_tables", {}, kStep);
      }
    }
  }

  std::vector<uint8_t> bytes_;
  size_t message_ = 0;
  uint32_t sequence_ = 0;
  uint32_t answers_ = 0;
};

}  // namespace

void change_elements(const std::string& table, const std::vector<ElementChange>& changes) {
  Transaction transaction;
  for (const auto& change : changes) {
    if (change.count != 0) transaction.change(table, change);
  }
  transaction.send();
}

}  // namespace gantry
