// Starting processes, and keeping hold of them by pidfd.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernel/unique_fd.h"

namespace gantry {

// One descriptor of the new process.
struct FdMapping {
  int child_fd;
  int parent_fd;
};

// What to start.
struct LaunchRequest {
  // Descriptor of the program (a sealed memfd); executed through /proc/self/fd, so /proc must be mounted.
  int executable_fd;
  std::vector<std::string> argv;
  std::vector<std::string> env;
  // Descriptors that the program gets, besides 0, 1 and 2, which are /dev/null unless named here. It gets no others,
  // whether they are close-on-exec or not.
  std::vector<FdMapping> fds;
  // Working directory, or empty for ours.
  std::string cwd;
};

// What was started. The pidfd is ours to close and close-on-exec.
struct LaunchedProcess {
  pid_t pid;
  UniqueFd pidfd;
};

// Copies a program into a memfd that nobody can write any more (F_SEAL_*), so that a container which reaches
// /proc/<pid>/exe cannot change the program of the next one (CVE-2019-5736).
UniqueFd seal_executable(const std::string& path);

// Starts a program by clone3(CLONE_VM | CLONE_VFORK | CLONE_PIDFD) on a stack of its own: the cost does not grow with
// our memory, and no page of ours is copied. Returns when the program is executed; failure of a step in the child is
// thrown with that step's errno. The caller reaps the child (or has SIGCHLD ignored).
LaunchedProcess launch(const LaunchRequest& request);

UniqueFd pidfd_open(pid_t pid);

// Sends a signal; ESRCH is thrown when the process is gone.
void pidfd_send_signal(int pidfd, int signal);

// How a child ended, as waitid(2) says it.
struct ChildExit {
  // CLD_EXITED, CLD_KILLED or CLD_DUMPED.
  int code;
  // Exit code or signal number.
  int status;
};

// Reaps a child of ours by its pidfd without waiting: empty while it runs, or when it is not our child (any more).
std::optional<ChildExit> reap(int pidfd);

// Field 22 of /proc/<pid>/stat; empty when there is no such process, or only its zombie. With the boot ID and the pid
// it names a process for good.
std::optional<uint64_t> process_start_ticks(pid_t pid);

}  // namespace gantry
