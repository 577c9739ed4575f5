#include "shim/host_handles.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "kernel/in_root.h"

namespace gantry::shim {
namespace {

bool open_proc(int directory, const char* path, UniqueFd& out, Failure& failure) {
  out.reset(openat(directory, path, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!out) return failure.set("proc", errno, path);
  if (filesystem_of(out.get()) != PROC_SUPER_MAGIC) return failure.set("proc", ENOTSUP, path);
  return true;
}

// Opens below a procfs directory without leaving this mount or following any link.
int open_below(int directory, const char* path, int flags) {
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  const long fd = syscall(SYS_openat2, directory, path, &how, sizeof(how));
  return fd < 0 ? -errno : static_cast<int>(fd);
}

int write_below(int directory, const char* path, const char* value) {
  const int opened = open_below(directory, path, O_WRONLY);
  if (opened < 0) return opened;
  const UniqueFd file(opened);
  if (filesystem_of(opened) != PROC_SUPER_MAGIC) return -ENOTSUP;
  return write(opened, value, std::strlen(value)) < 0 ? -errno : 0;
}

bool sysctl_path(const char* key, char (&path)[256]) {
  if (std::snprintf(path, sizeof(path), "%s", key) >= static_cast<int>(sizeof(path))) return false;
  const char* first = std::strpbrk(path, "./");
  if (first == nullptr || *first == '/') return true;
  for (char* at = path; *at != '\0'; ++at) {
    if (*at == '.') {
      *at = '/';
    } else if (*at == '/') {
      *at = '.';
    }
  }
  return true;
}

}  // namespace

bool HostHandles::open(Failure& failure) {
  if (!open_proc(AT_FDCWD, "/proc", proc, failure) || !follow_self(failure)) return false;
  if (!open_proc(proc.get(), "sys", proc_sys, failure)) return false;
  null.reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return failure.set("null", errno, "/dev/null");
  if (!is_character_device(null.get(), 1, 3)) return failure.set("null", ENODEV, "/dev/null");
  return true;
}

// "self" is the caller as the host's PID namespace knows it, wherever the caller lives.
bool HostHandles::follow_self(Failure& failure) { return open_proc(proc.get(), "self", proc_self, failure); }

int HostHandles::write_self(const char* path, const char* value) const {
  return write_below(proc_self.get(), path, value);
}

bool HostHandles::write_sysctl(const char* key, const char* value, Failure& failure) const {
  char path[256];
  if (!sysctl_path(key, path)) return failure.set("sysctl", ENAMETOOLONG, key);
  const int error = write_below(proc_sys.get(), path, value);
  if (error == 0) return true;
  failure.say("sysctl", -error, "%s /proc/sys/%s: %s", error == -ENOENT ? "open" : "write", path, error_text(-error));
  return failure.about(key);
}

}  // namespace gantry::shim
