// Hooks of the OCI bundle.
#pragma once

#include <sys/types.h>

#include "kernel/failure.h"
#include "shim/plan.h"

namespace gantry::shim {

// Stages that the shim runs in the host's namespaces while the first process waits before pivot_root, in this order.
inline constexpr const char* kBeforePivotStages[] = {"prestart", "createRuntime"};

// Whether the plan has a hook of one of these stages.
bool has_hooks(const LaunchPlan& plan, const char* const (&stages)[2]);

// Runs the hooks of a stage in the caller's namespaces, one after the other. Each gets the OCI state with `status` and
// `pid` (0: left out) on standard input. False at the first that fails or takes too long.
bool run_hooks(const LaunchPlan& plan, const char* stage, const char* status, pid_t pid, Failure& failure);

// Runs all hooks of poststart or poststop, which come too late to change anything. Returns what there is to say of
// those that failed.
std::vector<std::string> run_late_hooks(const LaunchPlan& plan, const char* stage, const char* status, pid_t pid);

}  // namespace gantry::shim
