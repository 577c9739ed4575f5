// An IPv4 or IPv6 address with a port.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

namespace gantry::relay {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  int family() const { return storage.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  // The bytes that make it what it is, to be a key by.
  std::string key() const;
};

// Numeric addresses only; no names, no zones.
std::optional<Address> parse_address(const std::string& ip, uint16_t port);

}  // namespace gantry::relay
