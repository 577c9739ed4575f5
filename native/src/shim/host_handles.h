// What a child takes along from the host's view before it enters the container's root, so that nothing it trusts is
// looked up in a tree that the container made (classes: masked paths over a swapped /dev/null, writes to a fake /proc).
#pragma once

#include "kernel/failure.h"
#include "kernel/unique_fd.h"

namespace gantry::shim {

struct HostHandles {
  // The host's /proc, and in it /proc/<own pid> and /proc/sys; all checked to be a procfs. Entries of the latter follow
  // the namespaces of who opens them.
  UniqueFd proc;
  UniqueFd proc_self;
  UniqueFd proc_sys;
  // The character device 1:3.
  UniqueFd null;

  bool open(Failure& failure);

  // Opens /proc/<own pid> again, in a child of who called `open`.
  bool follow_self(Failure& failure);

  // Writes a file below /proc/<own pid>, `attr/exec`.
  int write_self(const char* path, const char* value) const;

  // Writes a sysctl; `key` is dotted or slashed. A dot inside a slashed key, or a slash inside a dotted one, is part
  // of a name (an interface `eth0.10`), as sysctl(8) has it.
  bool write_sysctl(const char* key, const char* value, Failure& failure) const;
};

}  // namespace gantry::shim
