// Work on paths inside a container's root, whatever symbolic links the container put there.
//
// Every function takes a descriptor of the root and resolves with openat2(2) RESOLVE_IN_ROOT: `..` and absolute links
// stay inside, magic links (/proc/self/fd/N) are refused, and what comes out is a descriptor, not a path that
// somebody could change meanwhile. Nothing here allocates. Results are descriptors or negative errno values.
#pragma once

#include <fcntl.h>
#include <sys/types.h>

#include <cstdint>

namespace gantry {

// openat2(root, path) inside the root; O_CLOEXEC is always set. `resolve` adds RESOLVE_* flags.
int open_in_root(int root, const char* path, int flags, mode_t mode = 0, uint64_t resolve = 0);

// An O_PATH descriptor of the directory `path`, which is made with its parents (mode 0755) where missing. A dangling
// symbolic link on the way is followed and its target made.
int make_directory_in_root(int root, const char* path);

// An O_PATH descriptor of the file `path`, which is made empty (mode 0755) with its parents where missing.
int make_file_in_root(int root, const char* path);

// An O_PATH descriptor of the directory that holds `path`, made where missing. `name` points into `path` to its last
// component. -EINVAL when `path` has none or it is `.` or `..`.
int make_parent_in_root(int root, const char* path, const char** name);

// Magic number of the file system that holds a descriptor (statfs f_type), or 0.
uint64_t filesystem_of(int fd);

// Whether a descriptor is the character device `major`:`minor`.
bool is_character_device(int fd, unsigned major, unsigned minor);

}  // namespace gantry
