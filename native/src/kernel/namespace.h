// Namespaces and processes: clone3(2), setns(2), pidfds.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace gantry {

// What clone3(2) is asked for.
struct CloneRequest {
  // CLONE_NEW* flags, and CLONE_PARENT.
  uint64_t flags = 0;
  // Directory of the cgroup v2 tree to be born in, or -1.
  int cgroup = -1;
  // Out: descriptor of the new process (close-on-exec), unless null.
  int* pidfd = nullptr;
};

// As fork(2): the PID in the parent, 0 in the child (a copy of the caller, who has one thread), negative errno.
pid_t clone_process(const CloneRequest& request);

// A descriptor of a process (close-on-exec), or negative errno. (The C library's header of these two calls does not say
// extern "C" in Debian 12.)
int open_pidfd(pid_t pid);

// Sends a signal; 0 or negative errno.
int signal_pidfd(int pidfd, int signal);

// Name of a namespace type as in /proc/<pid>/ns, `net`; empty for an unknown flag.
const char* namespace_name(uint64_t clone_flag);

// Field 22 of /proc/<pid>/stat: start time in clock ticks after boot. 0 when there is no such process.
uint64_t start_ticks(pid_t pid);

}  // namespace gantry
