// A published port: a socket bound on the host, and what arrives there on its way to a container.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "relay/address.h"
#include "relay/event_loop.h"

namespace gantry::relay {

struct PortSpec {
  std::string id;  // the engine's name for it
  std::string proto;  // "tcp" or "udp"
  std::string host_ip;
  uint16_t host_port = 0;
  std::string container_ip;
  uint16_t container_port = 0;
};

class Port {
 public:
  virtual ~Port() = default;
  // New connections and flows go there from now on.
  virtual void set_target(const Address& target) = 0;
  // Connections or flows that exist now.
  virtual size_t active() const = 0;
  // About once a second while it returns true: something is waiting for time to pass.
  virtual bool on_tick() = 0;
  // Frees the host's port at once and cuts all connections. After it, give handler() and the port to
  // EventLoop::retire().
  virtual void close() = 0;
  virtual Handler* handler() = 0;
};

// Each binds and returns the port, or nothing and errno.
std::unique_ptr<Port> open_tcp_port(EventLoop& loop, const Address& host, const Address& target);
std::unique_ptr<Port> open_udp_port(EventLoop& loop, const Address& host, const Address& target);

// A socket of the family, bound to the address (IPv6 ones to IPv6 only). Invalid, and errno, on failure.
UniqueFd bind_socket(const Address& host, int type, bool reuse_address);

}  // namespace gantry::relay
