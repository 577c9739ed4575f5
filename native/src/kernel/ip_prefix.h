// An IP address with a prefix length, from text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace gantry {

// An address in network order with its prefix length.
struct IpPrefix {
  // AF_INET or AF_INET6.
  uint8_t family;
  uint8_t bits;
  std::array<uint8_t, 16> bytes;
  // Bytes of the family's addresses.
  size_t size;
};

// `172.17.0.1/16`; without a slash the prefix is the whole address. Throws EINVAL.
IpPrefix parse_ip_prefix(const std::string& text);

// The broadcast address in network order; none of IPv6, and none of networks of one or two addresses.
std::optional<uint32_t> broadcast_of(const IpPrefix& prefix);

}  // namespace gantry
