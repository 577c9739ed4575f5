// Requests to rtnetlink: build one message, send it, read the answers.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "kernel/unique_fd.h"

namespace gantry {

// One message under construction.
class RtRequest {
 public:
  // `body` is the fixed part of the message type (ifinfomsg, ifaddrmsg, ...).
  template <typename Body>
  RtRequest(uint16_t type, uint16_t flags, const Body& body) {
    nlmsghdr header = {};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    append(&header, sizeof(header));
    append(&body, sizeof(body));
  }

  RtRequest& attribute(uint16_t type, const void* data, size_t size) {
    rtattr header = {static_cast<unsigned short>(RTA_LENGTH(size)), type};
    append(&header, sizeof(header));
    append(data, size);
    return *this;
  }
  RtRequest& u32(uint16_t type, uint32_t value) { return attribute(type, &value, sizeof(value)); }
  RtRequest& u16(uint16_t type, uint16_t value) { return attribute(type, &value, sizeof(value)); }
  RtRequest& u8(uint16_t type, uint8_t value) { return attribute(type, &value, sizeof(value)); }
  RtRequest& text(uint16_t type, const std::string& value) {
    return attribute(type, value.c_str(), value.size() + 1);
  }

  // Bytes without a header of their own (the ifinfomsg inside VETH_INFO_PEER).
  RtRequest& raw(const void* data, size_t size) {
    append(data, size);
    return *this;
  }

  // Adds what `fill` adds as one attribute around it.
  RtRequest& nested(uint16_t type, const std::function<void(RtRequest&)>& fill) {
    const size_t start = bytes_.size();
    rtattr header = {0, type};
    append(&header, sizeof(header));
    fill(*this);
    const auto length = static_cast<unsigned short>(bytes_.size() - start);
    std::memcpy(bytes_.data() + start, &length, sizeof(length));
    return *this;
  }

  // The finished message.
  const std::vector<char>& bytes(uint32_t sequence) {
    auto* header = reinterpret_cast<nlmsghdr*>(bytes_.data());
    header->nlmsg_len = static_cast<uint32_t>(bytes_.size());
    header->nlmsg_seq = sequence;
    return bytes_;
  }

 private:
  void append(const void* data, size_t size) {
    const size_t at = bytes_.size();
    bytes_.resize(at + NLMSG_ALIGN(size));
    if (size > 0) std::memcpy(bytes_.data() + at, data, size);
  }

  std::vector<char> bytes_;
};

// A route socket in the network namespace that it was opened in.
class RtSocket {
 public:
  RtSocket();

  // Sends and waits for the acknowledgement; a refusal is thrown with the kernel's errno, `step` and `subject`.
  void change(RtRequest& request, const char* step, const std::string& subject);

  // Sends a dump request and gives each message of the answer to `each`. A dump that changed under way is repeated
  // by calling `restart` first.
  void dump(RtRequest& request, const char* step, const std::function<void()>& restart,
            const std::function<void(const nlmsghdr&)>& each);

 private:
  void send(RtRequest& request, const char* step, const std::string& subject);
  bool dump_once(RtRequest& request, const char* step, const std::function<void(const nlmsghdr&)>& each);

  UniqueFd fd_;
  uint32_t sequence_ = 0;
};

// The attributes behind the fixed part of a message, by type; the last of a type wins.
class RtAttributes {
 public:
  RtAttributes(const nlmsghdr& message, size_t body_size);
  explicit RtAttributes(const rtattr* parent);

  const rtattr* find(unsigned short type) const;
  uint32_t u32(unsigned short type, uint32_t fallback = 0) const;
  std::string text(unsigned short type) const;
  std::vector<uint8_t> bytes(unsigned short type) const;

 private:
  void scan(const char* data, size_t size);

  std::vector<const rtattr*> attributes_;
};

}  // namespace gantry
