// The container's cgroups while it runs and at its end.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>

#include <optional>
#include <string_view>

#include "kernel/cgroup.h"
#include "shim/container.h"

namespace gantry::shim {
namespace {

// Rounds over cgroup.procs until nothing new is found; a fork bomb needs some.
constexpr int kSignalRounds = 64;

// The path of a process' v2 cgroup in the hierarchy (cgroups(7)).
std::optional<std::string> v2_path_of(pid_t pid) {
  const UniqueFd file(open(("/proc/" + std::to_string(pid) + "/cgroup").c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char part[PATH_MAX];
  for (ssize_t length; (length = read(file.get(), part, sizeof(part))) > 0;)
    text.append(part, static_cast<size_t>(length));
  constexpr std::string_view kV2 = "0::";
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    if (end == std::string::npos) break;
    if (text.compare(at, kV2.size(), kV2) == 0) return text.substr(at + kV2.size(), end - at - kV2.size());
    at = end + 1;
  }
  return {};
}

// What follows in `path`, which begins at the hierarchy's root, after the cgroup whose directory is `directory`; that
// begins with the mount point, wherever it is. Nothing when the path is not that cgroup's, or below it.
std::optional<std::string_view> below(std::string_view directory, std::string_view path) {
  for (size_t at = directory.find('/'); at != std::string_view::npos; at = directory.find('/', at + 1)) {
    const std::string_view own = directory.substr(at);
    if (!path.starts_with(own)) continue;
    const std::string_view rest = path.substr(own.size());
    if (rest.empty() || rest.front() == '/') return rest;
  }
  return {};
}

}  // namespace

Cgroups::Cgroups(const CgroupPlan& plan) : v2_dir(plan.v2_dir), oom_dir(plan.oom_dir) {
  for (const auto& dir : plan.dirs) {
    if (dir.attach) attach.push_back(dir.path);
    if (dir.remove) remove.insert(remove.begin(), dir.path);
  }
}

UniqueFd Cgroups::open_v2_of(pid_t pid) const {
  const auto path = v2_path_of(pid);
  const auto rest = path ? below(v2_dir, *path) : std::nullopt;
  if (!rest) return {};
  return UniqueFd(open((v2_dir + std::string(*rest)).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
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
