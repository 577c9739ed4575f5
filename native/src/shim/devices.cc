// Device nodes and links of the container's /dev.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "kernel/in_root.h"
#include "kernel/mount.h"
#include "shim/rootfs.h"

namespace gantry::shim {
namespace {

struct DefaultDevice {
  const char* path;
  uint32_t major;
  uint32_t minor;
};

// runtime-spec config-linux.md#default-devices
constexpr DefaultDevice kDefaultDevices[] = {{"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7},
                                             {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0}};

struct Link {
  const char* target;
  const char* path;
};

constexpr Link kLinks[] = {{"/proc/self/fd", "/dev/fd"},
                           {"/proc/self/fd/0", "/dev/stdin"},
                           {"/proc/self/fd/1", "/dev/stdout"},
                           {"/proc/self/fd/2", "/dev/stderr"},
                           {"pts/ptmx", "/dev/ptmx"}};

constexpr uint32_t kDefaultMode = S_IFCHR | 0666;

bool is_wanted(const struct stat& info, const DevicePlan& device) {
  if ((info.st_mode & S_IFMT) != (device.mode & S_IFMT)) return false;
  return S_ISFIFO(info.st_mode) || info.st_rdev == makedev(device.major, device.minor);
}

}  // namespace

bool Rootfs::make_device(const DevicePlan& device) {
  const char* name = nullptr;
  const int opened = make_parent_in_root(root_.get(), device.path.c_str(), &name);
  if (opened < 0) return failure_.set("device", -opened, device.path);
  const UniqueFd parent(opened);
  if (mknodat(opened, name, device.mode, makedev(device.major, device.minor)) != 0) {
    if (errno == EPERM) return bind_host_device(device);
    if (errno != EEXIST) return failure_.set("device", errno, device.path);
    struct stat info;
    if (fstatat(opened, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return failure_.set("device", errno, device.path);
    // The image brought something else of this name: a program that writes to /dev/null must not fill a file.
    if (!is_wanted(info, device) &&
        (unlinkat(opened, name, 0) != 0 ||
         mknodat(opened, name, device.mode, makedev(device.major, device.minor)) != 0)) {
      return failure_.set("device", errno, device.path);
    }
  }
  if (fchownat(opened, name, device.uid, device.gid, AT_SYMLINK_NOFOLLOW) != 0 ||
      fchmodat(opened, name, device.mode & 07777, 0) != 0) {
    return failure_.set("device", errno, device.path);
  }
  return true;
}

// In a user namespace no node can be made; the host's own of the same name is bound if it is the right one.
bool Rootfs::bind_host_device(const DevicePlan& device) {
  const UniqueFd source(open(device.path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat info;
  if (!source || fstat(source.get(), &info) != 0) return failure_.set("device", errno, device.path);
  if (!is_wanted(info, device)) return failure_.set("device", EPERM, device.path);
  const UniqueFd node(clone_mount(source.get(), "", false));
  if (!node) return failure_.set("device", errno, device.path);
  const int target = make_file_in_root(root_.get(), device.path.c_str());
  if (target < 0) return failure_.set("device", -target, device.path);
  const UniqueFd destination(target);
  const int error = attach_mount(node.get(), target);
  return error == 0 || failure_.set("device", -error, device.path);
}

bool Rootfs::make_link(const char* target, const char* path) {
  const char* name = nullptr;
  const int opened = make_parent_in_root(root_.get(), path, &name);
  if (opened < 0) return failure_.set("device link", -opened, path);
  const UniqueFd parent(opened);
  if (symlinkat(target, opened, name) == 0) return true;
  if (errno == EEXIST && unlinkat(opened, name, 0) == 0 && symlinkat(target, opened, name) == 0) return true;
  return failure_.set("device link", errno, path);
}

bool Rootfs::make_devices() {
  for (const auto& mount : plan_.mounts) {
    // Somebody's /dev: its nodes are theirs.
    if (mount.destination == "/dev" && mount.type == "bind") return true;
  }
  const mode_t old_mask = umask(0);
  bool made = true;
  DevicePlan device;
  for (size_t i = 0; made && i < std::size(kDefaultDevices); ++i) {
    const DefaultDevice& wanted = kDefaultDevices[i];
    // Short enough for the string's own storage: nothing is allocated.
    device = {wanted.path, kDefaultMode, wanted.major, wanted.minor, 0, 0};
    made = make_device(device);
  }
  for (size_t i = 0; made && i < plan_.devices.size(); ++i) made = make_device(plan_.devices[i]);
  for (size_t i = 0; made && i < std::size(kLinks); ++i) made = make_link(kLinks[i].target, kLinks[i].path);
  if (made && faccessat(host_.proc.get(), "kcore", F_OK, 0) == 0) made = make_link("/proc/kcore", "/dev/core");
  umask(old_mask);
  return made;
}

}  // namespace gantry::shim
