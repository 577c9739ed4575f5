#include "shim/sync.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

namespace gantry::shim {
namespace {

struct Header {
  Notice notice;
  int32_t value;
};

struct FailureMessage {
  Header header;
  Failure failure;
};

bool write_all(int socket, const void* data, size_t length) {
  ssize_t written = 0;
  do {
    written = write(socket, data, length);
  } while (written < 0 && errno == EINTR);
  return written == static_cast<ssize_t>(length);
}

}  // namespace

bool send_report(int socket, Notice notice, int32_t value) {
  const Header header = {notice, value};
  return write_all(socket, &header, sizeof(header));
}

void send_failure(int socket, const Failure& failure) {
  const FailureMessage message = {{Notice::kFailed, 0}, failure};
  write_all(socket, &message, sizeof(message));
}

bool send_terminal(int socket, int master, int slave) {
  Header header = {Notice::kTerminal, 0};
  iovec part = {&header, sizeof(header)};
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(2 * sizeof(int));
  const int fds[2] = {master, slave};
  std::memcpy(CMSG_DATA(rights), fds, sizeof(fds));
  return sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(header));
}

bool await_order(int socket, Order expected) {
  Order order = {};
  ssize_t length = 0;
  do {
    length = read(socket, &order, sizeof(order));
  } while (length < 0 && errno == EINTR);
  return length == static_cast<ssize_t>(sizeof(order)) && order == expected;
}

bool send_order(int socket, Order order) { return write_all(socket, &order, sizeof(order)); }

ReadResult read_report(int socket, Report& report, UniqueFd& master, UniqueFd& slave) {
  FailureMessage body = {};
  iovec part = {&body, sizeof(body)};
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t length = 0;
  do {
    length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    // A child that ends with an order unread makes the socket say ECONNRESET once, before what it had reported.
  } while (length < 0 && (errno == EINTR || errno == ECONNRESET));
  if (length < 0 && errno == EAGAIN) return ReadResult::kWouldBlock;
  if (length < static_cast<ssize_t>(sizeof(Header))) return ReadResult::kEnd;
  report.notice = body.header.notice;
  report.value = body.header.value;
  report.failure = body.failure;
  for (cmsghdr* rights = CMSG_FIRSTHDR(&message); rights != nullptr; rights = CMSG_NXTHDR(&message, rights)) {
    if (rights->cmsg_type != SCM_RIGHTS || rights->cmsg_len != CMSG_LEN(2 * sizeof(int))) continue;
    int fds[2];
    std::memcpy(fds, CMSG_DATA(rights), sizeof(fds));
    master.reset(fds[0]);
    slave.reset(fds[1]);
  }
  return ReadResult::kReport;
}

}  // namespace gantry::shim
