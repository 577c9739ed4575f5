// The container's root: overlay or bind, mounts, devices, hidden and read-only paths, and entering it. Runs in the new
// process, between clone and exec: nothing here allocates.
#pragma once

#include <vector>

#include "kernel/failure.h"
#include "kernel/unique_fd.h"
#include "shim/host_handles.h"
#include "shim/plan.h"

namespace gantry::shim {

// Detached mounts that the shim makes for a container with a user namespace, whose root may neither enter the host's
// directories nor mount an overlay that the host trusts. Empty otherwise: then the container's process makes them.
struct PreparedMounts {
  UniqueFd root;
  // One place for each mount of the plan; only binds have one.
  std::vector<UniqueFd> binds;
  UniqueFd init;
};

// Fills them; for the shim, before the clone.
bool prepare_mounts(const LaunchPlan& plan, PreparedMounts& out, Failure& failure);

class Rootfs {
 public:
  Rootfs(const LaunchPlan& plan, PreparedMounts& prepared, const HostHandles& host, Failure& failure)
      : plan_(plan), prepared_(prepared), host_(host), failure_(failure) {}

  // Makes the host's mounts private to this namespace and mounts the root at its mount point.
  bool mount_root();

  // One of the plan's mounts, by its index.
  bool mount(size_t index);

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
  bool attach_root();
  int mount_by_option_string(const RootfsPlan& root);
  int open_filesystem(const MountPlan& mount);
  int open_destination(const MountPlan& mount, int source, bool& made);
  bool check_destination(const MountPlan& mount, int destination);
  bool refuse_on_proc(const MountPlan& mount, const char* why);
  int protect_bind(const MountPlan& mount, int source);
  bool finish_tmpfs(const MountPlan& mount, int source, int destination, bool made);
  bool make_device(const DevicePlan& device);
  bool bind_host_device(const DevicePlan& device);
  bool make_link(const char* target, const char* path);
  bool hide(const char* path, UniqueFd& empty_directory);
  bool write_protect(const char* path);
  bool mount_failed(const MountPlan& mount, const char* what, int error);

  const LaunchPlan& plan_;
  PreparedMounts& prepared_;
  const HostHandles& host_;
  Failure& failure_;
  UniqueFd root_;
  // The kernel's words about the last failed file system.
  char complaint_[160] = {};
};

// What both sides use: a detached mount of the root, and of a bind's source.
int open_overlay(const RootfsPlan& root, char (&complaint)[160]);
int open_bind(const MountPlan& mount);
bool is_bind(const MountPlan& mount);

}  // namespace gantry::shim
