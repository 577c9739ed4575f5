#include "kernel/netlink.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace gantry {

void* NetlinkBatch::reserve(size_t length) {
  const size_t aligned = NLMSG_ALIGN(length);
  if (overflow_ || used_ + aligned > kCapacity) {
    overflow_ = true;
    return nullptr;
  }
  void* place = bytes_ + used_;
  used_ += aligned;
  return place;
}

void NetlinkBatch::close_request() {
  if (sequence_ == 0 || overflow_) return;
  reinterpret_cast<nlmsghdr*>(bytes_ + request_)->nlmsg_len = static_cast<uint32_t>(used_ - request_);
}

void NetlinkBatch::begin_raw(uint16_t type, uint16_t flags, const void* fixed, size_t length) {
  close_request();
  request_ = used_;
  auto* header = static_cast<nlmsghdr*>(reserve(sizeof(nlmsghdr)));
  if (header == nullptr) return;
  header->nlmsg_type = type;
  header->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  header->nlmsg_seq = ++sequence_;
  raw(fixed, length);
}

void NetlinkBatch::raw(const void* data, size_t length) {
  void* place = reserve(length);
  if (place != nullptr && length != 0) memcpy(place, data, length);
}

void NetlinkBatch::attribute(uint16_t type, const void* data, size_t length) {
  auto* header = static_cast<rtattr*>(reserve(RTA_LENGTH(length)));
  if (header == nullptr) return;
  header->rta_type = type;
  header->rta_len = static_cast<uint16_t>(RTA_LENGTH(length));
  if (length != 0) memcpy(RTA_DATA(header), data, length);
}

void NetlinkBatch::attribute(uint16_t type, std::string_view text) {
  auto* header = static_cast<rtattr*>(reserve(RTA_LENGTH(text.size() + 1)));
  if (header == nullptr) return;
  header->rta_type = type;
  header->rta_len = static_cast<uint16_t>(RTA_LENGTH(text.size() + 1));
  memcpy(RTA_DATA(header), text.data(), text.size());
}

size_t NetlinkBatch::begin_nested(uint16_t type) {
  const size_t position = used_;
  attribute(static_cast<uint16_t>(type | NLA_F_NESTED), nullptr, 0);
  return position;
}

void NetlinkBatch::end_nested(size_t position) {
  if (overflow_) return;
  reinterpret_cast<rtattr*>(bytes_ + position)->rta_len = static_cast<uint16_t>(used_ - position);
}

int NetlinkBatch::send(int socket, int* failed) {
  close_request();
  if (overflow_) return -EMSGSIZE;
  if (count_ == 0) return 0;
  sockaddr_nl kernel = {};
  kernel.nl_family = AF_NETLINK;
  const ssize_t sent = sendto(socket, bytes_, used_, 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof(kernel));
  if (sent < 0) return -errno;
  return receive_answers(socket, failed);
}

int NetlinkBatch::receive_answers(int socket, int* failed) {
  int first_error = 0;
  for (uint32_t answers = 0; answers < count_;) {
    alignas(nlmsghdr) char buffer[4096];
    sockaddr_nl sender = {};
    socklen_t sender_size = sizeof(sender);
    const ssize_t length =
        recvfrom(socket, buffer, sizeof(buffer), MSG_TRUNC, reinterpret_cast<sockaddr*>(&sender), &sender_size);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) return first_error != 0 ? first_error : -errno;
    if (sender.nl_pid != 0) continue;
    auto left = static_cast<unsigned>(static_cast<size_t>(length) < sizeof(buffer) ? length : sizeof(buffer));
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_type != NLMSG_ERROR) continue;
      ++answers;
      const int error = static_cast<nlmsgerr*>(NLMSG_DATA(message))->error;
      if (error == 0 || first_error != 0) continue;
      first_error = error;
      if (failed != nullptr) *failed = static_cast<int>(message->nlmsg_seq) - 1;
    }
  }
  return first_error;
}

int open_route_socket() {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return -errno;
  // Without the request's copy an error answer always fits the receive buffer.
  const int on = 1;
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
  return fd;
}

unsigned find_link(const char* name, unsigned* mtu) {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return 0;
  ifreq request = {};
  if (strlen(name) >= sizeof(request.ifr_name)) return 0;
  strcpy(request.ifr_name, name);
  if (ioctl(fd.get(), SIOCGIFINDEX, &request) != 0) return 0;
  const auto index = static_cast<unsigned>(request.ifr_ifindex);
  if (mtu != nullptr) *mtu = ioctl(fd.get(), SIOCGIFMTU, &request) == 0 ? static_cast<unsigned>(request.ifr_mtu) : 0;
  return index;
}

}  // namespace gantry
