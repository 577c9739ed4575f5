// From a prepared child to the program that it becomes: the last part of a container's first process and of an exec.
#pragma once

#include <sys/resource.h>

#include <string>
#include <vector>

#include "kernel/failure.h"
#include "shim/console.h"
#include "shim/host_handles.h"
#include "shim/plan.h"

namespace gantry::shim {

// Arguments and environment as execve(2) takes them, made before the clone. Points into the plan.
class ExecArrays {
 public:
  ExecArrays(const std::vector<std::string>& args, const std::vector<std::string>& env);

  char** args() { return args_.data(); }
  char** environment() { return environment_.data(); }

  // Uses the spare place for one more variable.
  void add_variable(char* variable);

 private:
  std::vector<char*> args_;
  std::vector<char*> environment_;
  size_t variables_;
};

// The child's ends of the standard streams; -1 = none (standard input: /dev/null).
struct ChildStreams {
  int fds[3] = {-1, -1, -1};
};

// What the shim changes for itself and gives back to those it starts.
struct Inherited {
  // oom_score_adj, for a process whose plan sets none.
  int oom_score = 0;
  // Limits of open files.
  rlimit files = {};
};

// oom_score_adj that a process of this plan has. It is set before the process enters a user namespace, in which the
// files of its /proc directory would not be its own.
inline int oom_score_of(const ProcessPlan& plan, const Inherited& inherited) {
  return plan.set_oom_score_adj ? plan.oom_score_adj : inherited.oom_score;
}

struct ProcessContext {
  const ProcessPlan& plan;
  ExecArrays& arrays;
  const HostHandles& host;
  ChildStreams streams;
  // Slave of the process's terminal, or -1.
  int slave;
  // Hand-shake socket.
  int sync;
  // Directory that is the container's root.
  int root;
  // What the shim was started with.
  const Inherited& inherited;
  // Whether a missing working directory is made.
  bool make_cwd;
  // File that takes the time of the start (see StartRecord), or -1.
  int start_record = -1;
};

// Ties the caller's life to the shim's: SIGKILL when it dies. False when it is dead already. Changes of IDs and
// capabilities undo it.
bool die_with_shim(int sync, Failure& failure);

// Becomes the program. Returns only when that failed.
void become_program(const ProcessContext& context, Failure& failure);

}  // namespace gantry::shim
