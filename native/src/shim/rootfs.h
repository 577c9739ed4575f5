// The container's root: overlay or bind, mounts, devices, hidden and read-only paths, and entering it. Runs in the new
// process, between clone and exec: nothing here allocates.
#pragma once

#include "kernel/failure.h"
#include "kernel/unique_fd.h"
#include "shim/host_handles.h"
#include "shim/plan.h"

namespace gantry::shim {

class Rootfs {
 public:
  Rootfs(const LaunchPlan& plan, const HostHandles& host, Failure& failure)
      : plan_(plan), host_(host), failure_(failure) {}

  // Makes the host's mounts private to this namespace and mounts the root at its mount point.
  bool mount_root();

  // One of the plan's mounts.
  bool mount(const MountPlan& mount);

  // Default and further device nodes, and the links of /dev; nothing when /dev is a bind.
  bool make_devices();

  // The terminal's slave at /dev/console.
  bool mount_console(int slave);

  // The static init program at /sbin/docker-init, when there is one.
  bool mount_init();

  // Hides and write-protects what the plan says.
  bool protect_paths();

  // pivot_root, after which the host's tree is gone; then the root's own propagation and read-only state.
  bool enter();

  // Root directory, for lookups inside it. Valid after mount_root.
  int fd() const { return root_.get(); }

 private:
  bool isolate_host_mounts();
  bool free_parent_of_sharing();
  int new_overlay();
  int overlay_by_option_string(const RootfsPlan& root);
  int open_bind(const MountPlan& mount);
  int open_filesystem(const MountPlan& mount);
  int open_destination(const MountPlan& mount, int source);
  bool check_destination(const MountPlan& mount, int destination);
  int protect_bind(const MountPlan& mount, int source);
  bool finish_tmpfs(const MountPlan& mount, int source, int destination);
  bool make_device(const DevicePlan& device);
  bool bind_host_device(const DevicePlan& device);
  bool make_link(const char* target, const char* path);
  bool hide(const char* path, UniqueFd& empty_directory);
  bool write_protect(const char* path);
  bool mount_failed(const MountPlan& mount, const char* what, int error);

  const LaunchPlan& plan_;
  const HostHandles& host_;
  Failure& failure_;
  UniqueFd root_;
  // The kernel's words about the last failed file system.
  char complaint_[160] = {};
};

}  // namespace gantry::shim
