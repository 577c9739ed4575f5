// Making the container: cgroups, the first process in its namespaces, network, hooks; and taking away what was made.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kernel/failure.h"
#include "kernel/unique_fd.h"
#include "shim/exit_record.h"
#include "shim/name_sockets.h"
#include "shim/plan.h"
#include "shim/process.h"
#include "shim/stdio.h"
#include "shim/sync.h"

namespace gantry::shim {

// What stays of the cgroup plan while the container runs.
struct Cgroups {
  // Directories that processes are attached to by cgroup.procs, and those that go at the end (innermost first).
  std::vector<std::string> attach;
  std::vector<std::string> remove;
  std::string v2_dir;
  std::string oom_dir;

  explicit Cgroups(const CgroupPlan& plan);
  Cgroups() = default;

  // The v2 cgroup that a process of the container is in, as a directory; none when it is not in v2_dir or below.
  UniqueFd open_v2_of(pid_t pid) const;

  // Kills every process in it, frozen or not.
  void kill_all() const;

  // Sends a signal to every process in it.
  void signal_all(int signal) const;

  // Lets it run, where it is frozen.
  void thaw() const;

  // Removes the directories; false while one is still in use.
  bool remove_all() const;
};

// A started container.
struct Container {
  pid_t pid = 0;
  UniqueFd pidfd;
  uint64_t start_ticks = 0;
  int64_t started_ns = 0;
  ShimStreams streams;
  // Its network namespace, when it has one of its own, and what its name server listens on there.
  UniqueFd network;
  NameSockets name_sockets;
  // Its other namespaces, held so that taking them apart is not what its last process does, nor what its exit waits for.
  std::vector<UniqueFd> held_namespaces;
};

// Starts the plan's container. On failure everything that was made is gone again.
class ContainerStart {
 public:
  ContainerStart(const LaunchPlan& plan, const Cgroups& cgroups, const Inherited& inherited, Failure& failure);

  bool run(Container& container);

 private:
  bool make_cgroups();
  bool make_streams(Container& container);
  bool create_process(Container& container);
  bool start_process(Container& container);
  void prefer_childs_failure();
  bool await_pid(Container& container);
  bool prepare_around(Container& container);
  bool write_process_files(pid_t pid);
  bool await_program(Container& container);
  bool run_early_hooks(pid_t pid);
  void hold_namespaces(Container& container);
  void undo(Container& container);

  const LaunchPlan& plan_;
  const Cgroups& cgroups_;
  const Inherited& inherited_;
  Failure& failure_;
  UniqueFd v2_;
  UniqueFd sync_;
  UniqueFd child_sync_;
  UniqueFd child_streams_[3];
  StartRecord record_;
};

}  // namespace gantry::shim
