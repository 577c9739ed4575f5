// Files and directories of cgroup hierarchies, v1 and v2. Nothing here allocates; results are 0 or negative errno.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace gantry {

// Makes a cgroup directory; one that is there already will do.
int make_cgroup(const char* path);

// Removes a cgroup directory and those that a container has made below it; one that is gone already will do. -EBUSY
// while any holds processes.
int remove_cgroup(const char* path);

// Writes `value` to `<directory>/<file>` in one write(2).
int write_cgroup_file(const char* directory, const char* file, const char* value);

// Moves a process (0 = the caller) into a cgroup.
int enter_cgroup(const char* directory, pid_t pid);

// Sends a signal to every process of a cgroup and of those below it, one by one; new ones are found by repeating until
// none is left to signal, at most `rounds` times. Returns how many were signalled in the last round.
int signal_cgroup(const char* directory, int signal, int rounds);

// Kills everything in a v2 cgroup and below by cgroup.kill; -ENOENT on kernels before 5.14.
int kill_cgroup(const char* directory);

// Lets a frozen cgroup run, in v1 (freezer.state) or v2 (cgroup.freeze); no error where neither file is.
void thaw_cgroup(const char* directory);

// A number after `key` in a file of "key value" lines (memory.events, memory.oom_control); -1 when it is not there.
int64_t read_cgroup_counter(const char* directory, const char* file, const char* key);

// Attaches a device program (instructions of struct bpf_insn) to a v2 cgroup directory's descriptor.
int attach_device_program(int cgroup, const void* instructions, size_t bytes);

}  // namespace gantry
