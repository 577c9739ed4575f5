#include "shim/name_sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "kernel/port_redirect.h"
#include "shim/network.h"

namespace gantry::shim {
namespace {

constexpr uint32_t kServerAddress = 0x7f00000b;
constexpr uint16_t kNamePort = 53;
constexpr int kBacklog = 16;

// While it lives, the process (which has one thread) is in another network namespace.
class InsideNetwork {
 public:
  explicit InsideNetwork(int network) {
    if (network < 0) return;
    own_.reset(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!own_ || setns(network, CLONE_NEWNET) != 0) {
      error_ = -errno;
      own_.reset();
    }
  }
  ~InsideNetwork() {
    if (!own_ || setns(own_.get(), CLONE_NEWNET) == 0) return;
    // Whatever is done next would be done in the wrong place.
    std::fprintf(stderr, "gantry-shim: setns: %s\n", error_text(errno));
    _exit(1);
  }
  InsideNetwork(const InsideNetwork&) = delete;
  InsideNetwork& operator=(const InsideNetwork&) = delete;

  int error() const { return error_; }

 private:
  UniqueFd own_;
  int error_ = 0;
};

int bind_server(int type, uint16_t port, UniqueFd& out) {
  UniqueFd socket(::socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return -errno;
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(kServerAddress);
  address.sin_port = htons(port);
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return -errno;
  if (type == SOCK_STREAM && listen(socket.get(), kBacklog) != 0) return -errno;
  out = std::move(socket);
  return 0;
}

int bind_both(uint16_t port, NameSockets& out) {
  const int error = bind_server(SOCK_DGRAM, port, out.udp);
  return error == 0 ? bind_server(SOCK_STREAM, port, out.tcp) : error;
}

uint16_t port_of(int socket) {
  sockaddr_in address = {};
  socklen_t size = sizeof(address);
  return getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0 ? ntohs(address.sin_port) : uint16_t{0};
}

}  // namespace

bool open_name_sockets(int network, NameSockets& out, Failure& failure) {
  const InsideNetwork inside(network);
  if (inside.error() < 0) return failure.set("name server", -inside.error(), "network namespace");
  // An address that is not there yet would be bound to, but not answered from.
  int error = set_loopback_up();
  if (error < 0) return failure.set("name server", -error, "loopback");
  error = bind_both(0, out);
  if (error < 0) return failure.set("name server", -error, "socket");
  in_addr address;
  address.s_addr = htonl(kServerAddress);
  error = redirect_loopback_port(address, kNamePort, port_of(out.udp.get()), port_of(out.tcp.get()));
  if (error == 0) return true;
  error = bind_both(kNamePort, out);
  return error == 0 || failure.set("name server", -error, "socket");
}

int socket_in(int network, int family, int type) {
  const InsideNetwork inside(network);
  if (inside.error() < 0) return inside.error();
  const int fd = ::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return fd < 0 ? -errno : fd;
}

}  // namespace gantry::shim
