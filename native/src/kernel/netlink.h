// rtnetlink: building requests in a fixed buffer and waiting for their answers. Nothing here allocates.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernel/unique_fd.h"

namespace gantry {

// One or more rtnetlink requests, sent together. A request that does not fit makes `send` fail with -EMSGSIZE.
class NetlinkBatch {
 public:
  // Begins a request with its fixed part (ifinfomsg, ifaddrmsg, rtmsg). NLM_F_REQUEST and NLM_F_ACK are added.
  template <typename Fixed>
  void begin(uint16_t type, uint16_t flags, const Fixed& fixed) {
    begin_raw(type, static_cast<uint16_t>(NLM_F_ACK | flags), &fixed, sizeof(fixed));
    ++count_;
  }

  // As `begin`, for what has no answer of its own: the brackets of an nfnetlink transaction.
  template <typename Fixed>
  void begin_unanswered(uint16_t type, const Fixed& fixed) {
    begin_raw(type, 0, &fixed, sizeof(fixed));
  }

  void attribute(uint16_t type, const void* data, size_t length);
  void attribute(uint16_t type, std::string_view text);
  void attribute(uint16_t type, uint32_t value) { attribute(type, &value, sizeof(value)); }
  void attribute_byte(uint16_t type, uint8_t value) { attribute(type, &value, sizeof(value)); }

  // Opens a nested attribute; its end is closed by `end_nested` with what was returned.
  size_t begin_nested(uint16_t type);
  void end_nested(size_t position);

  // Raw bytes inside an attribute (the ifinfomsg of VETH_INFO_PEER).
  void raw(const void* data, size_t length);

  // Sends all requests on a socket and waits for each answer. 0, or the first error; `failed` then is the index of
  // the request that failed.
  int send(int socket, int* failed = nullptr);

 private:
  void begin_raw(uint16_t type, uint16_t flags, const void* fixed, size_t length);
  void* reserve(size_t length);
  void close_request();
  int receive_answers(int socket, int* failed);

  static constexpr size_t kCapacity = 4096;
  alignas(8) unsigned char bytes_[kCapacity] = {};
  size_t used_ = 0;
  size_t request_ = 0;
  // Requests, and those of them that are answered.
  uint32_t sequence_ = 0;
  uint32_t count_ = 0;
  bool overflow_ = false;
};

// A NETLINK_ROUTE socket in the caller's network namespace, or negative errno.
int open_route_socket();

// Index of a link by name in the caller's network namespace, 0 when there is none. `mtu` may be null.
unsigned find_link(const char* name, unsigned* mtu);

}  // namespace gantry
