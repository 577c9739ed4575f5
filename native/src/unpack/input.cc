#include "unpack/input.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "unpack/failure.h"

namespace gantry::unpack {
namespace {

// Waits for input. A regular file is always ready; a pipe or socket may keep us waiting for as long as a download
// takes, and the caller may go away meanwhile without closing it (another process may hold the other end).
void wait_readable(int fd, int watch_fd) {
  pollfd fds[2] = {{fd, POLLIN, 0}, {watch_fd, 0, 0}};
  for (;;) {
    int ready = poll(fds, 2, -1);
    if (ready < 0 && errno != EINTR) fail_errno("read", "", errno);
    if (ready > 0) break;
  }
  if (fds[1].revents & (POLLERR | POLLHUP | POLLNVAL)) fail_errno("read", "", EPIPE);
}

}  // namespace

Input::Input(int fd, int watch_fd, bool hash) : fd_(fd), watch_fd_(watch_fd), hash_(hash) {
  // Fewer wake-ups per megabyte. Not a pipe, or over the user's limit: then it stays as it is.
  (void)fcntl(fd, F_SETPIPE_SZ, 1 << 20);
}

size_t Input::read_some(uint8_t* out, size_t size) {
  for (;;) {
    wait_readable(fd_, watch_fd_);
    ssize_t n = read(fd_, out, size);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) fail_errno("read", "");
    bytes_ += static_cast<uint64_t>(n);
    if (hash_) sha_.update({out, static_cast<size_t>(n)});
    return static_cast<size_t>(n);
  }
}

std::span<const uint8_t> Input::peek() {
  if (begin_ == end_) {
    begin_ = 0;
    end_ = read_some(buffer_.get(), kBufferSize);
  }
  return {buffer_.get() + begin_, end_ - begin_};
}

std::span<const uint8_t> Input::peek_at_least(size_t count) {
  while (end_ - begin_ < count) {
    memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    size_t n = read_some(buffer_.get() + end_, kBufferSize - end_);
    if (n == 0) break;
    end_ += n;
  }
  return {buffer_.get() + begin_, end_ - begin_};
}

size_t Input::read_into(std::span<uint8_t> out) {
  size_t done = std::min(out.size(), end_ - begin_);
  memcpy(out.data(), buffer_.get() + begin_, done);
  begin_ += done;
  while (done < out.size()) {
    size_t n = read_some(out.data() + done, out.size() - done);
    if (n == 0) break;
    done += n;
  }
  return done;
}

}  // namespace gantry::unpack
