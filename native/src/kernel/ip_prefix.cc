#include "kernel/ip_prefix.h"

#include <arpa/inet.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "kernel/syscall_error.h"

namespace gantry {

IpPrefix parse_ip_prefix(const std::string& text) {
  const size_t slash = text.find('/');
  const std::string address = text.substr(0, slash);
  IpPrefix prefix = {};
  if (inet_pton(AF_INET, address.c_str(), prefix.bytes.data()) == 1) {
    prefix.family = AF_INET;
    prefix.size = 4;
  } else if (inet_pton(AF_INET6, address.c_str(), prefix.bytes.data()) == 1) {
    prefix.family = AF_INET6;
    prefix.size = 16;
  } else {
    throw SyscallError(EINVAL, "inet_pton", text, "address");
  }
  prefix.bits = static_cast<uint8_t>(prefix.size * 8);
  if (slash == std::string::npos) return prefix;
  unsigned bits = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + slash + 1, end, bits);
  if (error != std::errc() || rest != end || bits > prefix.size * 8) {
    throw SyscallError(EINVAL, "inet_pton", text, "address");
  }
  prefix.bits = static_cast<uint8_t>(bits);
  return prefix;
}

std::optional<uint32_t> broadcast_of(const IpPrefix& prefix) {
  if (prefix.family != AF_INET || prefix.bits > 30) return std::nullopt;
  uint32_t address = 0;
  std::memcpy(&address, prefix.bytes.data(), sizeof(address));
  return address | htonl(prefix.bits == 0 ? 0xffffffffU : 0xffffffffU >> prefix.bits);
}

}  // namespace gantry
