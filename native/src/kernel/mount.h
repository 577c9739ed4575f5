// The kernel's mount API on descriptors: fsopen(2), open_tree(2), move_mount(2), mount_setattr(2).
//
// Nothing here allocates or throws. Results are descriptors or negative errno values, and 0 for success.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernel/unique_fd.h"

namespace gantry {

// A detached copy of the mount at `path` (relative to `directory`; empty = the descriptor itself).
int clone_mount(int directory, const char* path, bool recursive);

// Puts a detached mount on what `destination` is.
int attach_mount(int mount, int destination);

// Changes MOUNT_ATTR_* of a mount. `propagation` is MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE or 0.
int change_mount(int mount, uint64_t set, uint64_t clear, uint64_t propagation, bool recursive);

// The MOUNT_ATTR_* bits of mount(2) flags (MS_RDONLY, MS_NOSUID, ...).
uint64_t mount_attributes(uint64_t flags);

// Whether an overlay took its upper directory: 0, or what was refused. Without room for its work directory it is
// mounted read-only, and only the kernel's log says so.
int writable_overlay(int mount, const char* work_dir);

// A file system context that becomes a detached mount.
class NewFilesystem {
 public:
  // 0, or why fsopen(2) failed.
  int open(const char* type);

  // One option, `key` alone when `value` is null.
  int set(const char* key, const char* value);

  // A directory given as an option, also one whose path is longer than an option may be (255 bytes).
  int set_directory(const char* key, const char* path);

  // Options as mount(2) takes them, `a,b=c`. A comma inside double quotes does not separate.
  int set_all(const char* options);

  // Makes the file system and a mount of it with these MOUNT_ATTR_* bits.
  int create(uint64_t attributes);

  // The kernel's last message about this context without its level letter, or an empty text.
  const char* complaint();

 private:
  UniqueFd context_;
  char complaint_[160] = {};
};

}  // namespace gantry
