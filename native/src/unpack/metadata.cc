#include "unpack/metadata.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "unpack/failure.h"

namespace gantry::unpack {
namespace {

timespec to_timespec(Timestamp time) { return {static_cast<time_t>(time.seconds), static_cast<long>(time.nanoseconds)}; }

// user.* is allowed on files and directories only: xattr(7).
bool is_refused_quietly(std::string_view name, int error) {
  if (error == ENOTSUP) return true;
  return error == EPERM && name.starts_with("user.");
}

// A program of the container, or another copy into it, has put something else there, or nothing.
bool is_replaced(const Place& place) { return place.fd < 0 && errno == ENOENT; }

}  // namespace

bool is_engine_xattr(std::string_view name) {
  return name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.");
}

void set_owner(const Place& place, uint32_t uid, uint32_t gid) {
  int result = place.fd >= 0 ? fchown(place.fd, uid, gid)
                             : fchownat(place.directory, place.name, uid, gid, AT_SYMLINK_NOFOLLOW);
  if (result != 0 && !is_replaced(place)) fail_errno("chown", place.path);
}

void set_mode(const Place& place, uint32_t mode) {
  int result = place.fd >= 0 ? fchmod(place.fd, mode) : fchmodat(place.directory, place.name, mode, 0);
  if (result != 0 && !is_replaced(place)) fail_errno("chmod", place.path);
}

void set_xattrs(const Place& place, const TarEntry& entry, bool trusted) {
  if (entry.xattrs.empty()) return;
  // There is no lsetxattr() relative to a directory before Linux 6.13, and no /proc here to make one of it.
  // One thread does all the file work, so it may use the working directory.
  if (place.fd < 0 && fchdir(place.directory) != 0) fail_errno("xattr", place.path);
  for (const auto& [name, value] : entry.xattrs) {
    if (is_engine_xattr(name) || (!trusted && name.starts_with("trusted."))) continue;
    int result = place.fd >= 0 ? fsetxattr(place.fd, name.c_str(), value.data(), value.size(), 0)
                               : lsetxattr(place.name, name.c_str(), value.data(), value.size(), 0);
    if (result != 0 && !is_replaced(place) && !is_refused_quietly(name, errno)) fail_errno("xattr", place.path);
  }
}

void set_mtime(const Place& place, Timestamp mtime) {
  timespec times[2] = {to_timespec(mtime), to_timespec(mtime)};
  int result = place.fd >= 0 ? futimens(place.fd, times)
                             : utimensat(place.directory, place.name, times, AT_SYMLINK_NOFOLLOW);
  if (result != 0 && !is_replaced(place)) fail_errno("times", place.path);
}

}  // namespace gantry::unpack
