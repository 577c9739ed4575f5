// Copies of files that keep what files have besides their bytes.
#pragma once

#include <sys/types.h>

#include <string>

namespace gantry {

// One file to copy.
struct FileCopy {
  std::string from;
  std::string to;
  uid_t uid;
  gid_t gid;
  mode_t mode;  // permission bits
};

// Copies a regular file to a name that is free: bytes, times and extended attributes (not `trusted.` and `system.`,
// which are the file system's own), with another owner and other permissions. Links are followed at neither end.
// What a failed copy has written stays. Throws SyscallError.
void copy_file(const FileCopy& copy);

}  // namespace gantry
