#include "shim/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "kernel/in_root.h"
#include "kernel/mount.h"

namespace gantry::shim {
namespace {

constexpr const char* kInitPath = "/sbin/docker-init";

// Appends to a fixed text; false when it does not fit.
bool append(char* text, size_t capacity, size_t& used, const char* part) {
  const size_t length = std::strlen(part);
  if (used + length >= capacity) return false;
  std::memcpy(text + used, part, length + 1);
  used += length;
  return true;
}

// The folder that all these absolute paths are in, "/" at least; how many characters of each path it takes with the
// slash after it.
size_t shared_folder(const std::vector<std::string>& paths, char (&folder)[PATH_MAX]) {
  size_t length = paths.empty() ? 0 : std::min(paths.front().size(), sizeof(folder) - 1);
  for (const auto& path : paths) {
    size_t equal = 0;
    while (equal < length && equal < path.size() && path[equal] == paths.front()[equal]) ++equal;
    length = equal;
  }
  while (length > 0 && paths.front()[length - 1] != '/') --length;
  std::snprintf(folder, sizeof(folder), "%.*s", static_cast<int>(length), length > 0 ? paths.front().c_str() : "");
  if (length == 0) std::strcpy(folder, "/");
  return length;
}

// The mount of an overlay, or why it is not one that can be written to.
int checked(int mount, const RootfsPlan& root) {
  if (mount < 0 || root.upper_dir.empty()) return mount;
  const int refused = writable_overlay(mount, root.work_dir.c_str());
  if (refused == 0) return mount;
  close(mount);
  return refused;
}

bool root_failed(const RootfsPlan& root, const char* complaint, int error, Failure& failure) {
  const char* what = root.bind_source.empty() ? "overlay" : root.bind_source.c_str();
  failure.say("rootfs", error, "mount %s at %s: %s%s%s", what, root.mountpoint.c_str(), error_text(error),
              *complaint != '\0' ? ": " : "", complaint);
  return failure.about(root.mountpoint);
}

}  // namespace

bool Rootfs::isolate_host_mounts() {
  const uint64_t propagation = plan_.rootfs_propagation != 0 ? plan_.rootfs_propagation : MS_PRIVATE | MS_REC;
  if (::mount(nullptr, "/", nullptr, propagation, nullptr) == 0) return true;
  return failure_.set("propagation", errno, "/");
}

bool Rootfs::free_parent_of_sharing() {
  if ((plan_.rootfs_propagation & MS_SHARED) == 0) return true;
  // Mounting below a shared mount would reach the host, and pivot_root refuses one. Which of the ancestors is the
  // mount point is told by the call itself.
  char path[PATH_MAX];
  std::snprintf(path, sizeof(path), "%s", plan_.rootfs.mountpoint.c_str());
  for (;;) {
    if (::mount(nullptr, path, nullptr, MS_PRIVATE, nullptr) == 0) return true;
    if (errno != EINVAL || std::strcmp(path, "/") == 0) return failure_.set("propagation", errno, path);
    char* slash = std::strrchr(path, '/');
    if (slash == path) {
      path[1] = '\0';
    } else {
      *slash = '\0';
    }
  }
}

// For kernels before 6.7, which know one `lowerdir` text of at most 255 bytes through fsconfig(2): mount(2) takes a
// page. Paths are given from the folder that all layers share, so that a page holds some hundred of them.
int Rootfs::mount_by_option_string(const RootfsPlan& root) {
  char shared[PATH_MAX];
  const size_t skipped = shared_folder(root.lower_dirs, shared);
  if (chdir(shared) != 0) return -errno;
  char options[4096] = "lowerdir=";
  size_t used = std::strlen(options);
  bool fits = true;
  for (size_t i = 0; i < root.lower_dirs.size(); ++i) {
    if (i > 0) fits = fits && append(options, sizeof(options), used, ":");
    fits = fits && append(options, sizeof(options), used, root.lower_dirs[i].c_str() + skipped);
  }
  if (!root.upper_dir.empty()) {
    fits = fits && append(options, sizeof(options), used, ",upperdir=") &&
           append(options, sizeof(options), used, root.upper_dir.c_str()) &&
           append(options, sizeof(options), used, ",workdir=") &&
           append(options, sizeof(options), used, root.work_dir.c_str());
  }
  for (const auto& option : root.options) {
    fits = fits && append(options, sizeof(options), used, ",") && append(options, sizeof(options), used, option.c_str());
  }
  if (!fits) return -E2BIG;
  const char* target = root.mountpoint.c_str();
  if (::mount("overlay", target, "overlay", 0, options) != 0) return -errno;
  const int fd = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? -errno : checked(fd, root);
}

int open_overlay(const RootfsPlan& root, char (&complaint)[160]) {
  NewFilesystem overlay;
  int error = overlay.open("overlay");
  if (error < 0) return error;
  error = overlay.set("source", "overlay");
  for (size_t i = 0; error >= 0 && i < root.options.size(); ++i) error = overlay.set_all(root.options[i].c_str());
  if (error < 0) return error;
  for (size_t i = 0; error >= 0 && i < root.lower_dirs.size(); ++i) {
    error = overlay.set_directory("lowerdir+", root.lower_dirs[i].c_str());
  }
  if (error >= 0 && !root.upper_dir.empty()) error = overlay.set_directory("upperdir", root.upper_dir.c_str());
  if (error >= 0 && !root.upper_dir.empty()) error = overlay.set_directory("workdir", root.work_dir.c_str());
  const int mount = error < 0 ? error : checked(overlay.create(0), root);
  if (mount < 0) std::snprintf(complaint, sizeof(complaint), "%s", overlay.complaint());
  // Before 6.7 there is no lowerdir+ (before 6.5 only the creation says so), before 6.13 no directory by descriptor,
  // which long paths need.
  return mount == -EINVAL ? -EOPNOTSUPP : mount;
}

bool Rootfs::attach_root() {
  // A root in a user namespace may not go where the mount point is; any directory of its own view will do, and /proc
  // was opened before.
  const bool in_user_namespace = plan_.namespace_of(CLONE_NEWUSER) != nullptr;
  const char* place = in_user_namespace ? "/proc" : plan_.rootfs.mountpoint.c_str();
  const UniqueFd target(open(place, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!target) return failure_.set("rootfs", errno, place);
  // The clone of a shared mount is its peer; what is mounted in the container must not come back to the host.
  if ((plan_.rootfs_propagation & (MS_SHARED | MS_SLAVE)) == 0) change_mount(root_.get(), 0, 0, MS_PRIVATE, true);
  const int error = attach_mount(root_.get(), target.get());
  return error == 0 || failure_.set("rootfs", -error, place);
}

bool Rootfs::mount_root() {
  if (!isolate_host_mounts() || !free_parent_of_sharing()) return false;
  const RootfsPlan& root = plan_.rootfs;
  if (prepared_.root) {
    root_ = std::move(prepared_.root);
    return attach_root();
  }
  if (!root.bind_source.empty()) {
    root_.reset(clone_mount(AT_FDCWD, root.bind_source.c_str(), true));
    return root_ ? attach_root() : failure_.set("rootfs", errno, root.bind_source);
  }
  int mounted = open_overlay(root, complaint_);
  if (mounted == -EOPNOTSUPP) {
    mounted = mount_by_option_string(root);
    // The mount is where it belongs already.
    if (mounted >= 0) {
      root_.reset(mounted);
      return true;
    }
  }
  if (mounted < 0) return root_failed(root, complaint_, -mounted, failure_);
  root_.reset(mounted);
  return attach_root();
}

bool prepare_mounts(const LaunchPlan& plan, PreparedMounts& out, Failure& failure) {
  const RootfsPlan& root = plan.rootfs;
  char complaint[160] = {};
  const int mounted = root.bind_source.empty() ? open_overlay(root, complaint)
                                               : clone_mount(AT_FDCWD, root.bind_source.c_str(), true);
  if (mounted < 0) return root_failed(root, complaint, -mounted, failure);
  out.root.reset(mounted);
  for (const auto& mount : plan.mounts) {
    const int source = is_bind(mount) ? open_bind(mount) : -1;
    if (is_bind(mount) && source < 0) return failure.set("mount", -source, mount.source);
    // A peer of the host's mount would carry the container's mounts to it.
    if (source >= 0 && (mount.propagation & MS_SHARED) == 0) change_mount(source, 0, 0, MS_SLAVE, true);
    out.binds.emplace_back(source);
  }
  if (plan.init_binary_path.empty()) return true;
  const int init = clone_mount(AT_FDCWD, plan.init_binary_path.c_str(), false);
  if (init < 0) return failure.set("init", -init, plan.init_binary_path);
  out.init.reset(init);
  return true;
}

bool Rootfs::mount_console(int slave) {
  const UniqueFd source(clone_mount(slave, "", false));
  if (!source) return failure_.set("console", errno, "/dev/console");
  const int target = make_file_in_root(root_.get(), "/dev/console");
  if (target < 0) return failure_.set("console", -target, "/dev/console");
  const UniqueFd destination(target);
  const int error = attach_mount(source.get(), target);
  return error == 0 || failure_.set("console", -error, "/dev/console");
}

bool Rootfs::mount_init() {
  if (plan_.init_binary_path.empty()) return true;
  UniqueFd source = std::move(prepared_.init);
  if (!source) source.reset(clone_mount(AT_FDCWD, plan_.init_binary_path.c_str(), false));
  if (!source) return failure_.set("init", errno, plan_.init_binary_path);
  int error = change_mount(source.get(), MOUNT_ATTR_RDONLY, 0, MS_PRIVATE, false);
  if (error < 0) return failure_.set("init", -error, plan_.init_binary_path);
  const int target = make_file_in_root(root_.get(), kInitPath);
  if (target < 0) return failure_.set("init", -target, kInitPath);
  const UniqueFd destination(target);
  error = attach_mount(source.get(), target);
  return error == 0 || failure_.set("init", -error, kInitPath);
}

bool Rootfs::hide(const char* path, UniqueFd& empty_directory) {
  const int found = open_in_root(root_.get(), path, O_PATH);
  if (found == -ENOENT || found == -ENOTDIR) return true;
  if (found < 0) return failure_.set("mask", -found, path);
  const UniqueFd target(found);
  struct stat info;
  if (fstat(found, &info) != 0) return failure_.set("mask", errno, path);
  UniqueFd cover;
  int error = 0;
  if (S_ISDIR(info.st_mode)) {
    if (!empty_directory) {
      NewFilesystem empty;
      int made = empty.open("tmpfs");
      if (made == 0) made = empty.set_all("source=tmpfs,ro,size=4k,nr_inodes=1,mode=0555");
      if (made == 0) made = empty.create(MOUNT_ATTR_RDONLY);
      if (made < 0) return failure_.set("mask", -made, path);
      empty_directory.reset(made);
      // The first cover is the mount itself: kernels before 6.15 clone only what is attached.
      error = attach_mount(made, found);
      return error == 0 || failure_.set("mask", -error, path);
    }
    cover.reset(clone_mount(empty_directory.get(), "", false));
  } else {
    // The host's device, checked when it was opened: the container's own /dev/null may be anything. It can be written
    // to on a read-only mount, but its mode and owner, which are the host's, cannot be changed there.
    cover.reset(clone_mount(host_.null.get(), "", false));
    if (cover) error = change_mount(cover.get(), MOUNT_ATTR_RDONLY, 0, 0, false);
  }
  if (!cover) return failure_.set("mask", errno, path);
  if (error == 0) error = attach_mount(cover.get(), found);
  return error == 0 || failure_.set("mask", -error, path);
}

bool Rootfs::write_protect(const char* path) {
  const int found = open_in_root(root_.get(), path, O_PATH);
  if (found == -ENOENT || found == -ENOTDIR) return true;
  if (found < 0) return failure_.set("readonly", -found, path);
  const UniqueFd target(found);
  const UniqueFd copy(clone_mount(found, "", true));
  if (!copy) return failure_.set("readonly", errno, path);
  int error = change_mount(copy.get(), MOUNT_ATTR_RDONLY, 0, 0, true);
  if (error == 0) error = attach_mount(copy.get(), found);
  return error == 0 || failure_.set("readonly", -error, path);
}

bool Rootfs::protect_paths() {
  UniqueFd empty_directory;
  for (const auto& path : plan_.readonly_paths) {
    if (!write_protect(path.c_str())) return false;
  }
  for (const auto& path : plan_.masked_paths) {
    if (!hide(path.c_str(), empty_directory)) return false;
  }
  return true;
}

bool Rootfs::enter() {
  const UniqueFd old_root(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!old_root) return failure_.set("pivot_root", errno, "/");
  if (fchdir(root_.get()) != 0) return failure_.set("pivot_root", errno, plan_.rootfs.mountpoint);
  // The new root goes on top of the old one, which needs no directory inside the container to be parked at.
  if (syscall(SYS_pivot_root, ".", ".") != 0) return failure_.set("pivot_root", errno, plan_.rootfs.mountpoint);
  if (fchdir(old_root.get()) != 0) return failure_.set("pivot_root", errno, "old root");
  // As a slave its unmounting cannot reach the host.
  if (::mount(nullptr, ".", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) return failure_.set("pivot_root", errno, "slave");
  if (umount2(".", MNT_DETACH) != 0) return failure_.set("pivot_root", errno, "umount");
  if (chdir("/") != 0) return failure_.set("pivot_root", errno, "chdir");
  const uint64_t propagation = plan_.rootfs_propagation;
  if (propagation != 0 && (propagation & MS_PRIVATE) == 0 &&
      ::mount(nullptr, "/", nullptr, propagation, nullptr) != 0) {
    return failure_.set("propagation", errno, "/");
  }
  if (!plan_.rootfs.readonly) return true;
  const int error = change_mount(root_.get(), MOUNT_ATTR_RDONLY, 0, 0, false);
  return error == 0 || failure_.set("readonly", -error, "/");
}

}  // namespace gantry::shim
