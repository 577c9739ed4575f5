#include "kernel/port_redirect.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cstddef>
#include <string_view>

#include "kernel/netlink.h"
#include "kernel/unique_fd.h"

namespace gantry {
namespace {

constexpr std::string_view kTable = "gantry";
constexpr std::string_view kChain = "loopback";
// Where mangle chains are: behind a container's own `raw` rules, before its filters.
constexpr int32_t kPriority = -150;
constexpr uint32_t kSourceAddress = 12;
constexpr uint32_t kTargetAddress = 16;
constexpr uint32_t kSourcePort = 0;
constexpr uint32_t kTargetPort = 2;

// A rule: packets of `protocol` with `address` there and `port` here have the port replaced.
struct Rewrite {
  uint8_t protocol;
  uint32_t address_offset;
  uint32_t port_offset;
  uint16_t from;
  uint16_t to;
};

class Transaction {
 public:
  Transaction() { bracket(NFNL_MSG_BATCH_BEGIN); }

  void make_table() {
    begin(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
    batch_.attribute(NFTA_TABLE_NAME, kTable);
  }

  void make_chain() {
    begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    batch_.attribute(NFTA_CHAIN_TABLE, kTable);
    batch_.attribute(NFTA_CHAIN_NAME, kChain);
    const size_t hook = batch_.begin_nested(NFTA_CHAIN_HOOK);
    number(NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT);
    number(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(kPriority));
    batch_.end_nested(hook);
    batch_.attribute(NFTA_CHAIN_TYPE, std::string_view("filter"));
  }

  void make_rule(in_addr address, const Rewrite& rewrite) {
    begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    batch_.attribute(NFTA_RULE_TABLE, kTable);
    batch_.attribute(NFTA_RULE_CHAIN, kChain);
    const size_t list = batch_.begin_nested(NFTA_RULE_EXPRESSIONS);
    const uint16_t from = htons(rewrite.from);
    const uint16_t to = htons(rewrite.to);
    load_protocol();
    compare(&rewrite.protocol, sizeof(rewrite.protocol));
    load(NFT_PAYLOAD_NETWORK_HEADER, rewrite.address_offset, sizeof(address));
    compare(&address, sizeof(address));
    load(NFT_PAYLOAD_TRANSPORT_HEADER, rewrite.port_offset, sizeof(from));
    compare(&from, sizeof(from));
    set_register(&to, sizeof(to));
    store(rewrite);
    batch_.end_nested(list);
  }

  int send() {
    bracket(NFNL_MSG_BATCH_END);
    const UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
    if (!socket) return -errno;
    const int on = 1;
    setsockopt(socket.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
    // A kernel without nftables answers the first bracket only.
    const timeval patience = {1, 0};
    setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return batch_.send(socket.get());
  }

 private:
  void bracket(uint16_t type) {
    nfgenmsg header = {};
    header.res_id = htons(NFNL_SUBSYS_NFTABLES);
    batch_.begin_unanswered(type, header);
  }

  void begin(uint16_t type, uint16_t flags) {
    nfgenmsg header = {};
    header.nfgen_family = NFPROTO_IPV4;
    batch_.begin(static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), flags, header);
  }

  void number(uint16_t type, uint32_t value) { batch_.attribute(type, htonl(value)); }

  // An expression is an element with a name and, nested, its data.
  struct Open {
    size_t element;
    size_t data;
  };
  Open open(std::string_view name) {
    const size_t element = batch_.begin_nested(NFTA_LIST_ELEM);
    batch_.attribute(NFTA_EXPR_NAME, name);
    return {element, batch_.begin_nested(NFTA_EXPR_DATA)};
  }
  void close(const Open& opened) {
    batch_.end_nested(opened.data);
    batch_.end_nested(opened.element);
  }

  void value(uint16_t type, const void* bytes, size_t length) {
    const size_t nested = batch_.begin_nested(type);
    batch_.attribute(NFTA_DATA_VALUE, bytes, length);
    batch_.end_nested(nested);
  }

  void load_protocol() {
    const Open opened = open("meta");
    number(NFTA_META_DREG, NFT_REG_1);
    number(NFTA_META_KEY, NFT_META_L4PROTO);
    close(opened);
  }

  void load(uint32_t base, uint32_t offset, size_t length) {
    const Open opened = open("payload");
    number(NFTA_PAYLOAD_DREG, NFT_REG_1);
    number(NFTA_PAYLOAD_BASE, base);
    number(NFTA_PAYLOAD_OFFSET, offset);
    number(NFTA_PAYLOAD_LEN, static_cast<uint32_t>(length));
    close(opened);
  }

  void compare(const void* bytes, size_t length) {
    const Open opened = open("cmp");
    number(NFTA_CMP_SREG, NFT_REG_1);
    number(NFTA_CMP_OP, NFT_CMP_EQ);
    value(NFTA_CMP_DATA, bytes, length);
    close(opened);
  }

  void set_register(const void* bytes, size_t length) {
    const Open opened = open("immediate");
    number(NFTA_IMMEDIATE_DREG, NFT_REG_1);
    value(NFTA_IMMEDIATE_DATA, bytes, length);
    close(opened);
  }

  void store(const Rewrite& rewrite) {
    const bool tcp = rewrite.protocol == IPPROTO_TCP;
    const Open opened = open("payload");
    number(NFTA_PAYLOAD_SREG, NFT_REG_1);
    number(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
    number(NFTA_PAYLOAD_OFFSET, rewrite.port_offset);
    number(NFTA_PAYLOAD_LEN, sizeof(rewrite.to));
    number(NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
    number(NFTA_PAYLOAD_CSUM_OFFSET, static_cast<uint32_t>(tcp ? offsetof(tcphdr, th_sum) : offsetof(udphdr, uh_sum)));
    close(opened);
  }

  NetlinkBatch batch_;
};

}  // namespace

int redirect_loopback_port(in_addr address, uint16_t port, uint16_t udp_port, uint16_t tcp_port) {
  Transaction transaction;
  transaction.make_table();
  transaction.make_chain();
  transaction.make_rule(address, {IPPROTO_UDP, kTargetAddress, kTargetPort, port, udp_port});
  transaction.make_rule(address, {IPPROTO_UDP, kSourceAddress, kSourcePort, udp_port, port});
  transaction.make_rule(address, {IPPROTO_TCP, kTargetAddress, kTargetPort, port, tcp_port});
  transaction.make_rule(address, {IPPROTO_TCP, kSourceAddress, kSourcePort, tcp_port, port});
  return transaction.send();
}

}  // namespace gantry
