#include "relay/address.h"

#include <arpa/inet.h>

namespace gantry::relay {

std::string Address::key() const {
  if (family() == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
    std::string key(reinterpret_cast<const char*>(&v4->sin_addr), sizeof v4->sin_addr);
    return key.append(reinterpret_cast<const char*>(&v4->sin_port), sizeof v4->sin_port);
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
  std::string key(reinterpret_cast<const char*>(&v6->sin6_addr), sizeof v6->sin6_addr);
  key.append(reinterpret_cast<const char*>(&v6->sin6_port), sizeof v6->sin6_port);
  // Link-local clients of two links may have the same address.
  return key.append(reinterpret_cast<const char*>(&v6->sin6_scope_id), sizeof v6->sin6_scope_id);
}

std::optional<Address> parse_address(const std::string& ip, uint16_t port) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET, ip.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.size = sizeof *v4;
    return address;
  }
  if (inet_pton(AF_INET6, ip.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.size = sizeof *v6;
    return address;
  }
  return std::nullopt;
}

}  // namespace gantry::relay
