// The container's first process, from its birth in new namespaces to the program.
#pragma once

#include <cstdint>

#include "shim/plan.h"
#include "shim/process.h"
#include "shim/rootfs.h"

namespace gantry::shim {

struct InitContext {
  const LaunchPlan& plan;
  ExecArrays& arrays;
  PreparedMounts& mounts;
  ChildStreams streams;
  // Child's end of the hand-shake.
  int sync;
  const Inherited& inherited;
  // Reaches the host's ends of the interfaces (kernel/carrier.h), or -1 when there are none.
  int link_control;
  // File that takes the time of the start, or -1.
  int start_record;
};

// Runs in the child and never returns: a failure is reported on the hand-shake.
[[noreturn]] void run_init(const InitContext& context);

// Joins the plan's named namespaces, bears the first process as a child of the shim with CLONE_PARENT, reports its PID
// and exits. Runs in a child of its own, so that the shim never leaves the host's namespaces.
[[noreturn]] void run_joining_init(const InitContext& context, int v2_cgroup);

// CLONE_NEW* flags of the namespaces that the clone makes; the cgroup one is made later, in the right cgroup.
uint64_t new_namespaces(const LaunchPlan& plan);

}  // namespace gantry::shim
