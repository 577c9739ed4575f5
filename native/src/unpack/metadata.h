// Owner, mode, extended attributes and times of what was just made.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "unpack/tar_entry.h"

namespace gantry::unpack {

// How to reach a thing: by a descriptor open for reading or writing, or (links, devices, pipes, which cannot be
// opened) by its name in a directory.
struct Place {
  int fd = -1;
  int directory = -1;
  const char* name = nullptr;
  std::string_view path;  // for messages
};

// Each throws with the step of its name: chown, chmod, xattr, times.
void set_owner(const Place& place, uint32_t uid, uint32_t gid);
// `place` is no symbolic link.
void set_mode(const Place& place, uint32_t mode);
// Sets the entry's attributes, but for those that are not a layer's to decide (is_engine_xattr), those that the
// file system does not know, and, unless `trusted`, the trusted ones.
void set_xattrs(const Place& place, const TarEntry& entry, bool trusted);
void set_mtime(const Place& place, Timestamp mtime);

// overlayfs' own attributes: in an image they could hide or redirect files of lower layers.
bool is_engine_xattr(std::string_view name);

}  // namespace gantry::unpack
