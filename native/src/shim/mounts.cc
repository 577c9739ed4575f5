// The plan's mounts: binds and file systems, each made detached and then put on a destination inside the root.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <utility>

#include "kernel/in_root.h"
#include "kernel/mount.h"
#include "shim/copy_tree.h"
#include "shim/rootfs.h"

namespace gantry::shim {
namespace {

// File systems whose one instance other containers share: read-only is for the mount, never for the superblock.
bool is_shared_filesystem(const std::string& type) {
  return type == "proc" || type == "sysfs" || type == "mqueue" || type == "cgroup" || type == "cgroup2";
}

// Files of /proc that lxcfs and its like may cover; anything else there would fake the kernel's answers.
constexpr const char* kProcFiles[] = {
    "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat",    "/proc/swaps",
    "/proc/uptime",  "/proc/loadavg",   "/proc/slabinfo", "/proc/net/dev", "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled"};

// What mount(2) takes as flags and is the file system's, not the mount's.
constexpr std::pair<uint64_t, const char*> kFilesystemFlags[] = {
    {MS_SYNCHRONOUS, "sync"}, {MS_DIRSYNC, "dirsync"}, {MS_LAZYTIME, "lazytime"}};

constexpr uint64_t kAccessTimes = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;

bool is_directory(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 && S_ISDIR(info.st_mode);
}

bool may_cover(const std::string& destination) {
  for (const char* file : kProcFiles) {
    if (destination == file) return true;
  }
  return false;
}

}  // namespace

bool Rootfs::mount_failed(const MountPlan& mount, const char* what, int error) {
  const char* source = mount.source.empty() ? mount.type.c_str() : mount.source.c_str();
  failure_.say("mount", error, "error mounting \"%s\" to rootfs at \"%s\": %s: %s%s%s", source,
               mount.destination.c_str(), what, error_text(error), complaint_[0] != '\0' ? ": " : "", complaint_);
  return failure_.about(mount.destination);
}

bool is_bind(const MountPlan& mount) { return mount.type == "bind" || (mount.flags & MS_BIND) != 0; }

int open_bind(const MountPlan& mount) {
  const bool recursive = (mount.flags & MS_REC) != 0;
  if (mount.subpath.empty()) return clone_mount(AT_FDCWD, mount.source.c_str(), recursive);
  const UniqueFd base(open(mount.source.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!base) return -errno;
  const int inner = open_in_root(base.get(), mount.subpath.c_str(), O_PATH);
  if (inner < 0) return inner;
  const UniqueFd path(inner);
  return clone_mount(inner, "", recursive);
}

namespace {

// `rnosuid` and its like: of the mount and of everything below it.
int change_recursively(const MountPlan& mount, int source) {
  const uint64_t set = mount_attributes(mount.recursive_flags);
  uint64_t clear = mount_attributes(mount.recursive_clear_flags) & ~set;
  // Access times are one field of three values: relatime, its zero, is set by clearing the others.
  if (((mount.recursive_flags | mount.recursive_clear_flags) & kAccessTimes) != 0) clear |= MOUNT_ATTR__ATIME;
  return set == 0 && clear == 0 ? 0 : change_mount(source, set, clear, 0, true);
}

}  // namespace

int Rootfs::open_filesystem(const MountPlan& mount) {
  NewFilesystem filesystem;
  int error = filesystem.open(mount.type.c_str());
  if (error < 0) return error;
  // cgroup v1 refuses a source of more than its own name in some kernels; it has no use for one.
  if (!mount.source.empty() && mount.type != "cgroup") error = filesystem.set("source", mount.source.c_str());
  if (error >= 0 && !mount.data.empty()) error = filesystem.set_all(mount.data.c_str());
  for (const auto& [flag, word] : kFilesystemFlags) {
    if (error >= 0 && (mount.flags & flag) != 0) error = filesystem.set(word, nullptr);
  }
  const bool readonly = (mount.flags & MS_RDONLY) != 0;
  if (error >= 0 && readonly && !is_shared_filesystem(mount.type) && mount.type != "tmpfs") {
    error = filesystem.set("ro", nullptr);
  }
  uint64_t attributes = mount_attributes(mount.flags);
  // A tmpfs is filled or given its mode before it is closed for writing.
  if (mount.type == "tmpfs") attributes &= ~static_cast<uint64_t>(MOUNT_ATTR_RDONLY);
  const int made = error < 0 ? error : filesystem.create(attributes);
  if (made < 0) std::snprintf(complaint_, sizeof(complaint_), "%s", filesystem.complaint());
  return made;
}

int Rootfs::protect_bind(const MountPlan& mount, int source) {
  const uint64_t set = mount_attributes(mount.flags & ~static_cast<uint64_t>(MS_BIND | MS_REC));
  const uint64_t clear = mount_attributes(mount.clear_flags) & ~set;
  int error = 0;
  if (set != 0 || clear != 0) error = change_mount(source, set, clear, 0, false);
  if (error == 0) error = change_recursively(mount, source);
  if (error < 0 || (!mount.recursive_readonly && !mount.recursive_readonly_if_possible)) return error;
  error = change_mount(source, MOUNT_ATTR_RDONLY, 0, 0, true);
  if (error < 0 && mount.recursive_readonly_if_possible) {
    return change_mount(source, MOUNT_ATTR_RDONLY, 0, 0, false);
  }
  return error;
}

// The destination as a descriptor: what is mounted is put on exactly this, wherever its name leads meanwhile.
int Rootfs::open_destination(const MountPlan& mount, int source, bool& made) {
  const char* path = mount.destination.c_str();
  made = false;
  if (mount.type == "proc" || mount.type == "sysfs") {
    const int plain = open_in_root(root_.get(), path, O_PATH | O_DIRECTORY, 0, RESOLVE_NO_SYMLINKS);
    return plain == -ENOENT ? make_directory_in_root(root_.get(), path) : plain;
  }
  if (mount.type == "tmpfs" && !mount.is_file) {
    const int there = open_in_root(root_.get(), path, O_PATH | O_DIRECTORY);
    made = there == -ENOENT;
    return made ? make_directory_in_root(root_.get(), path) : there;
  }
  const bool file = is_bind(mount) ? !is_directory(source) : mount.is_file;
  return file ? make_file_in_root(root_.get(), path) : make_directory_in_root(root_.get(), path);
}

bool Rootfs::check_destination(const MountPlan& mount, int destination) {
  if (mount.type == "proc" || filesystem_of(destination) != PROC_SUPER_MAGIC || may_cover(mount.destination)) {
    return true;
  }
  return refuse_on_proc(mount, "inside /proc");
}

bool Rootfs::refuse_on_proc(const MountPlan& mount, const char* why) {
  failure_.say("mount", EPERM, "error mounting \"%s\" to rootfs at \"%s\": \"%s\" cannot be mounted because it is %s",
               mount.source.c_str(), mount.destination.c_str(), mount.destination.c_str(), why);
  return failure_.about(mount.destination);
}

bool Rootfs::finish_tmpfs(const MountPlan& mount, int source, int destination, bool made) {
  if (mount.type != "tmpfs") return true;
  const UniqueFd top(openat(source, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!top) return mount_failed(mount, "open", errno);
  struct stat info;
  // Without a mode of its own it looks like the directory that it covers; one that was made for it has nothing to show.
  if (!made && mount.data.find("mode=") == std::string::npos && fstat(destination, &info) == 0) {
    if (fchmod(top.get(), info.st_mode & 07777) != 0) return mount_failed(mount, "chmod", errno);
  }
  if (mount.tmpcopyup) {
    const UniqueFd from(openat(destination, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const int error = from ? copy_tree(from.get(), top.get()) : -errno;
    if (error < 0) return mount_failed(mount, "copy up", -error);
  }
  if ((mount.flags & MS_RDONLY) == 0) return true;
  const int error = change_mount(source, MOUNT_ATTR_RDONLY, 0, 0, false);
  return error == 0 || mount_failed(mount, "read-only", -error);
}

bool Rootfs::mount(size_t index) {
  const MountPlan& mount = plan_.mounts[index];
  complaint_[0] = '\0';
  const bool bind = is_bind(mount);
  const bool prepared = bind && index < prepared_.binds.size();
  const int opened = prepared ? prepared_.binds[index].release() : (bind ? open_bind(mount) : open_filesystem(mount));
  if (opened < 0) return mount_failed(mount, bind ? "open" : mount.type.c_str(), -opened);
  const UniqueFd source(opened);
  int error = bind ? protect_bind(mount, opened) : change_recursively(mount, opened);
  if (error < 0) return mount_failed(mount, "change", -error);
  // Without a /proc of its own the container would be shown whatever its programs take for the kernel's word.
  if (mount.destination == "/proc" && filesystem_of(opened) != PROC_SUPER_MAGIC) {
    return refuse_on_proc(mount, "not of type proc");
  }
  bool made = false;
  const int target = open_destination(mount, opened, made);
  if (target == -ELOOP && !bind) {
    failure_.say("mount", ELOOP, "filesystem \"%s\" must be mounted on ordinary directory", mount.type.c_str());
    return failure_.about(mount.destination);
  }
  if (target == -ENOENT && mount.destination.starts_with("/proc/")) return refuse_on_proc(mount, "inside /proc");
  if (target < 0) return mount_failed(mount, "create mount point", -target);
  const UniqueFd destination(target);
  // The kernel says "invalid argument" of a file that is put on a directory.
  if (bind && is_directory(opened) != is_directory(target)) return mount_failed(mount, "mount", ENOTDIR);
  if (!check_destination(mount, target) || !finish_tmpfs(mount, opened, target, made)) return false;
  error = attach_mount(opened, target);
  if (error < 0) return mount_failed(mount, "mount", -error);
  if (mount.propagation == 0) return true;
  error = change_mount(opened, 0, 0, mount.propagation & ~static_cast<uint64_t>(MS_REC), (mount.propagation & MS_REC) != 0);
  return error == 0 || mount_failed(mount, "propagation", -error);
}

}  // namespace gantry::shim
