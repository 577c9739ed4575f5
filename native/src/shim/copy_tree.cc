#include "shim/copy_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "kernel/unique_fd.h"

namespace gantry::shim {
namespace {

constexpr int kDepthMax = 64;
constexpr size_t kSendBytes = 1 << 20;

struct Entry {
  int from;
  int to;
  const char* name;
  struct stat info;
};

int apply_metadata(const Entry& entry) {
  const bool link = S_ISLNK(entry.info.st_mode);
  if (fchownat(entry.to, entry.name, entry.info.st_uid, entry.info.st_gid, AT_SYMLINK_NOFOLLOW) != 0) return -errno;
  // The owner first: changing it drops the set-user-ID bit.
  if (!link && fchmodat(entry.to, entry.name, entry.info.st_mode & 07777, 0) != 0) return -errno;
  const timespec times[2] = {entry.info.st_atim, entry.info.st_mtim};
  return utimensat(entry.to, entry.name, times, AT_SYMLINK_NOFOLLOW) != 0 ? -errno : 0;
}

int copy_file(const Entry& entry) {
  const UniqueFd in(openat(entry.from, entry.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!in) return -errno;
  const UniqueFd out(openat(entry.to, entry.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!out) return -errno;
  for (;;) {
    const ssize_t sent = sendfile(out.get(), in.get(), nullptr, kSendBytes);
    if (sent < 0) return -errno;
    if (sent == 0) return 0;
  }
}

int copy_link(const Entry& entry) {
  char target[PATH_MAX];
  const ssize_t length = readlinkat(entry.from, entry.name, target, sizeof(target) - 1);
  if (length < 0) return -errno;
  target[length] = '\0';
  return symlinkat(target, entry.to, entry.name) != 0 ? -errno : 0;
}

int copy_level(int from, int to, dev_t device, int depth);

int copy_directory(const Entry& entry, dev_t device, int depth) {
  if (mkdirat(entry.to, entry.name, 0700) != 0) return -errno;
  const UniqueFd in(openat(entry.from, entry.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  const UniqueFd out(openat(entry.to, entry.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!in || !out) return -errno;
  return copy_level(in.get(), out.get(), device, depth + 1);
}

int copy_entry(Entry& entry, dev_t device, int depth) {
  if (fstatat(entry.from, entry.name, &entry.info, AT_SYMLINK_NOFOLLOW) != 0) return -errno;
  if (entry.info.st_dev != device && S_ISDIR(entry.info.st_mode)) return 0;
  int error = 0;
  switch (entry.info.st_mode & S_IFMT) {
    case S_IFDIR: error = copy_directory(entry, device, depth); break;
    case S_IFREG: error = copy_file(entry); break;
    case S_IFLNK: error = copy_link(entry); break;
    default:
      error = mknodat(entry.to, entry.name, entry.info.st_mode, entry.info.st_rdev) != 0 ? -errno : 0;
  }
  return error < 0 ? error : apply_metadata(entry);
}

struct Directory64 {
  ino64_t inode;
  off64_t offset;
  unsigned short length;
  unsigned char type;
  char name[];
};

int copy_level(int from, int to, dev_t device, int depth) {
  if (depth > kDepthMax) return -ELOOP;
  alignas(Directory64) char buffer[2048];
  for (;;) {
    const long length = syscall(SYS_getdents64, from, buffer, sizeof(buffer));
    if (length < 0) return -errno;
    if (length == 0) return 0;
    for (long at = 0; at < length;) {
      const auto* found = reinterpret_cast<const Directory64*>(buffer + at);
      at += found->length;
      if (std::strcmp(found->name, ".") == 0 || std::strcmp(found->name, "..") == 0) continue;
      Entry entry = {from, to, found->name, {}};
      const int error = copy_entry(entry, device, depth);
      if (error < 0) return error;
    }
  }
}

}  // namespace

int copy_tree(int from, int to) {
  struct stat info;
  if (fstat(from, &info) != 0) return -errno;
  return copy_level(from, to, info.st_dev, 0);
}

}  // namespace gantry::shim
