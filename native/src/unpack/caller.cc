#include "unpack/caller.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "kernel/unique_fd.h"
#include "unpack/failure.h"

namespace gantry::unpack {
namespace {

constexpr size_t kTicketBytes = 32;
constexpr std::chrono::milliseconds kCallerLimit{30'000};
constexpr std::chrono::milliseconds kTicketLimit{5'000};

using Ticket = std::array<uint8_t, kTicketBytes>;
using Clock = std::chrono::steady_clock;

int hex_digit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

Ticket wanted_ticket() {
  const char* text = getenv("GANTRY_TICKET");
  std::string_view digits = text ? text : "";
  if (digits.size() != 2 * kTicketBytes) fail_errno("ticket", "", EINVAL);
  Ticket ticket;
  for (size_t i = 0; i < kTicketBytes; i++) {
    int high = hex_digit(digits[2 * i]);
    int low = hex_digit(digits[2 * i + 1]);
    if (high < 0 || low < 0) fail_errno("ticket", "", EINVAL);
    ticket[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return ticket;
}

// False when the time is over.
bool wait_readable(int fd, int watch_fd, Clock::time_point end) {
  pollfd fds[2] = {{fd, POLLIN, 0}, {watch_fd, 0, 0}};
  for (;;) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) return false;
    int ready = poll(fds, 2, static_cast<int>(left.count()));
    if (ready < 0 && errno != EINTR) fail_errno("accept", "", errno);
    if (ready > 0 && (fds[1].revents & (POLLERR | POLLHUP | POLLNVAL))) fail_errno("accept", "", EPIPE);
    if (ready > 0) return true;
  }
}

bool shows_ticket(int fd, int watch_fd, const Ticket& wanted) {
  Clock::time_point end = Clock::now() + kTicketLimit;
  Ticket shown;
  for (size_t done = 0; done < shown.size();) {
    if (!wait_readable(fd, watch_fd, end)) return false;
    ssize_t n = read(fd, shown.data() + done, shown.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<size_t>(n);
  }
  uint8_t difference = 0;
  for (size_t i = 0; i < shown.size(); i++) difference |= shown[i] ^ wanted[i];
  return difference == 0;
}

}  // namespace

void accept_caller(int listener_fd, int watch_fd, int caller_fd) {
  Ticket wanted = wanted_ticket();
  Clock::time_point end = Clock::now() + kCallerLimit;
  for (;;) {
    if (!wait_readable(listener_fd, watch_fd, end)) fail("accept", "", "nobody connected to the stream");
    UniqueFd caller(accept4(listener_fd, nullptr, nullptr, SOCK_CLOEXEC));
    if (!caller && (errno == EINTR || errno == EAGAIN || errno == ECONNABORTED)) continue;
    if (!caller) fail_errno("accept", "", errno);
    if (!shows_ticket(caller.get(), watch_fd, wanted)) continue;
    if (dup2(caller.get(), caller_fd) < 0) fail_errno("accept", "", errno);
    // Nobody else is let in.
    if (caller_fd != listener_fd) close(listener_fd);
    return;
  }
}

}  // namespace gantry::unpack
