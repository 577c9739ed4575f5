#include "kernel/copy_files.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <string_view>
#include <vector>

#include "kernel/read_growing.h"
#include "kernel/syscall_error.h"
#include "kernel/unique_fd.h"

namespace gantry {
namespace {

// Up to here one read and one write are quicker than what the kernel sets up for a copy of its own.
constexpr size_t kSmall = 64 * 1024;
// One call of copy_file_range: whoever waits for the thread gets it back in time.
constexpr size_t kRange = 16 << 20;

void write_all(int to, const char* data, size_t size, const std::string& path) {
  while (size > 0) {
    const ssize_t written = write(to, data, size);
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_errno("write", path);
    }
    data += written;
    size -= static_cast<size_t>(written);
  }
}

void copy_by_buffer(int from, int to, const FileCopy& copy) {
  std::array<char, kSmall> buffer;
  for (;;) {
    const ssize_t count = read(from, buffer.data(), buffer.size());
    if (count == 0) return;
    if (count < 0) {
      if (errno == EINTR) continue;
      throw_errno("read", copy.from);
    }
    write_all(to, buffer.data(), static_cast<size_t>(count), copy.to);
  }
}

// Whether the kernel copied all; false when it can't between these two files.
bool copy_in_kernel(int from, int to, const FileCopy& copy) {
  for (bool first = true;; first = false) {
    const ssize_t count = copy_file_range(from, nullptr, to, nullptr, kRange, 0);
    // Some file systems have no range to give for a file that is not empty: reading says what is there.
    if (count == 0) return !first;
    if (count > 0) continue;
    if (errno == EINTR) continue;
    if (first && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) return false;
    throw_errno("copy_file_range", copy.to);
  }
}

void copy_bytes(int from, int to, off_t size, const FileCopy& copy) {
  if (static_cast<size_t>(size) > kSmall) {
    if (ioctl(to, FICLONE, from) == 0) return;
    if (copy_in_kernel(from, to, copy)) return;
  }
  copy_by_buffer(from, to, copy);
}

bool is_copied(std::string_view attribute) {
  return !attribute.starts_with("trusted.") && !attribute.starts_with("system.");
}

void copy_xattrs(int from, int to, const FileCopy& copy) {
  const std::vector<char> names =
      read_growing("flistxattr", copy.from, [&](char* data, size_t size) { return flistxattr(from, data, size); });
  for (size_t at = 0; at < names.size();) {
    const std::string name(names.data() + at);
    at += name.size() + 1;
    if (!is_copied(name)) continue;
    const std::vector<char> value = read_growing("fgetxattr", copy.from, [&](char* data, size_t size) {
      return fgetxattr(from, name.c_str(), data, size);
    });
    if (fsetxattr(to, name.c_str(), value.data(), value.size(), 0) != 0) throw_errno("fsetxattr", copy.to, name);
  }
}

}  // namespace

void copy_file(const FileCopy& copy) {
  const UniqueFd from(open(copy.from.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!from) throw_errno("open", copy.from);
  struct stat there = {};
  if (fstat(from.get(), &there) != 0) throw_errno("fstat", copy.from);
  const UniqueFd to(open(copy.to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!to) throw_errno("open", copy.to);
  if (there.st_size > 0) copy_bytes(from.get(), to.get(), there.st_size, copy);
  // In this order: a change of the owner takes set-user-ID bits and capabilities away.
  if (fchown(to.get(), copy.uid, copy.gid) != 0) throw_errno("fchown", copy.to);
  if (fchmod(to.get(), copy.mode) != 0) throw_errno("fchmod", copy.to);
  copy_xattrs(from.get(), to.get(), copy);
  const timespec times[] = {there.st_atim, there.st_mtim};
  if (futimens(to.get(), times) != 0) throw_errno("futimens", copy.to);
}

}  // namespace gantry
