// The container's cgroups while it runs and at its end.
#include <errno.h>
#include <signal.h>

#include "kernel/cgroup.h"
#include "shim/container.h"

namespace gantry::shim {
namespace {

// Rounds over cgroup.procs until nothing new is found; a fork bomb needs some.
constexpr int kSignalRounds = 64;

}  // namespace

Cgroups::Cgroups(const CgroupPlan& plan) : v2_dir(plan.v2_dir), oom_dir(plan.oom_dir) {
  for (const auto& dir : plan.dirs) {
    if (dir.attach) attach.push_back(dir.path);
    if (dir.remove) remove.insert(remove.begin(), dir.path);
  }
}

void Cgroups::thaw() const {
  for (const auto& dir : attach) thaw_cgroup(dir.c_str());
  if (!v2_dir.empty()) thaw_cgroup(v2_dir.c_str());
}

void Cgroups::kill_all() const {
  // A frozen v1 cgroup dies of SIGKILL when it is thawed.
  if (!v2_dir.empty() && kill_cgroup(v2_dir.c_str()) == 0) {
    thaw();
    return;
  }
  const std::string* dir = !v2_dir.empty() ? &v2_dir : (attach.empty() ? nullptr : &attach.front());
  if (dir == nullptr) return;
  signal_cgroup(dir->c_str(), SIGKILL, 1);
  thaw();
  signal_cgroup(dir->c_str(), SIGKILL, kSignalRounds);
}

void Cgroups::signal_all(int signal) const {
  if (signal == SIGKILL) return kill_all();
  const std::string* dir = !v2_dir.empty() ? &v2_dir : (attach.empty() ? nullptr : &attach.front());
  if (dir != nullptr) signal_cgroup(dir->c_str(), signal, 1);
}

bool Cgroups::remove_all() const {
  bool all = true;
  for (const auto& dir : remove) all = remove_cgroup(dir.c_str()) != -EBUSY && all;
  return all;
}

}  // namespace gantry::shim
