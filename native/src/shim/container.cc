#include "shim/container.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "kernel/carrier.h"
#include "kernel/cgroup.h"
#include "kernel/namespace.h"
#include "shim/hooks.h"
#include "shim/init.h"
#include "shim/network.h"

namespace gantry::shim {
namespace {

bool joins_namespaces(const LaunchPlan& plan) {
  for (const auto& wanted : plan.namespaces) {
    if (!wanted.path.empty()) return true;
  }
  return false;
}

bool make_pipe(UniqueFd& read_end, UniqueFd& write_end, Failure& failure) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return failure.set("stdio", errno, "pipe");
  read_end.reset(fds[0]);
  write_end.reset(fds[1]);
  return true;
}

}  // namespace

ContainerStart::ContainerStart(const LaunchPlan& plan, const Cgroups& cgroups, const Inherited& inherited,
                               Failure& failure)
    : plan_(plan), cgroups_(cgroups), inherited_(inherited), failure_(failure) {}

bool ContainerStart::make_cgroups() {
  for (const auto& dir : plan_.cgroup.dirs) {
    int error = make_cgroup(dir.path.c_str());
    if (error < 0) return failure_.set("cgroup", -error, dir.path);
    for (const auto& wanted : dir.writes) {
      error = write_cgroup_file(dir.path.c_str(), wanted.file.c_str(), wanted.value.c_str());
      if (error == 0 || wanted.optional) continue;
      failure_.say("cgroup", -error,
                   "error setting cgroup config for procHooks process: failed to write \"%s\": write %s/%s: %s",
                   wanted.value.c_str(), dir.path.c_str(), wanted.file.c_str(), error_text(-error));
      return failure_.about(dir.path);
    }
  }
  if (plan_.cgroup.v2_dir.empty()) return true;
  v2_.reset(open(plan_.cgroup.v2_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!v2_) return failure_.set("cgroup", errno, plan_.cgroup.v2_dir);
  const std::string& program = plan_.cgroup.device_program;
  if (program.empty()) return true;
  const int error = attach_device_program(v2_.get(), program.data(), program.size());
  return error == 0 || failure_.set("cgroup", -error, "device program");
}

bool ContainerStart::make_streams(Container& container) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) return failure_.set("sync", errno);
  sync_.reset(fds[0]);
  child_sync_.reset(fds[1]);
  if (plan_.process.terminal) return true;
  ShimStreams& streams = container.streams;
  if (plan_.stdio.open_stdin && !make_pipe(child_streams_[0], streams.input, failure_)) return false;
  return make_pipe(streams.output[0], child_streams_[1], failure_) &&
         make_pipe(streams.output[1], child_streams_[2], failure_);
}

bool ContainerStart::create_process(Container& container) {
  ExecArrays arrays(plan_.process.args, plan_.process.env);
  PreparedMounts mounts;
  if (plan_.namespace_of(CLONE_NEWUSER) != nullptr && !prepare_mounts(plan_, mounts, failure_)) return false;
  UniqueFd link_control;
  if (!plan_.interfaces.empty()) {
    link_control = open_link_control();
    if (!link_control) return failure_.set("network", errno, "socket");
  }
  const InitContext context = {
      .plan = plan_,
      .arrays = arrays,
      .mounts = mounts,
      .streams = {{child_streams_[0].get(), child_streams_[1].get(), child_streams_[2].get()}},
      .sync = child_sync_.get(),
      .inherited = inherited_,
      .link_control = link_control.get(),
      .start_record = record_.fd()};
  const bool joins = joins_namespaces(plan_);
  int pidfd = -1;
  CloneRequest request;
  if (!joins) {
    request.flags = new_namespaces(plan_);
    request.cgroup = v2_.get();
    request.pidfd = &pidfd;
  }
  const pid_t pid = clone_process(request);
  if (pid < 0) return failure_.set("clone", -pid);
  if (pid == 0) {
    // The copy of the shim's end would keep the hand-shake from ending with the shim.
    sync_.reset();
    if (joins) run_joining_init(context, v2_.get());
    run_init(context);
  }
  child_sync_.reset();
  for (auto& stream : child_streams_) stream.reset();
  if (joins) return await_pid(container);
  container.pid = pid;
  container.pidfd.reset(pidfd);
  return true;
}

// The middle process says which PID the first process has, or why there is none.
bool ContainerStart::await_pid(Container& container) {
  Report report;
  UniqueFd none;
  const ReadResult result = read_report(sync_.get(), report, none, none);
  if (result != ReadResult::kReport) return failure_.say("namespace", EPIPE, "the joining process died");
  if (report.notice == Notice::kPid) {
    container.pid = report.value;
    const int pidfd = open_pidfd(container.pid);
    if (pidfd < 0) return failure_.set("pidfd_open", -pidfd);
    container.pidfd.reset(pidfd);
    return true;
  }
  failure_ = report.failure;
  return false;
}

bool ContainerStart::write_process_files(pid_t pid) {
  char directory[32];
  std::snprintf(directory, sizeof(directory), "/proc/%d", pid);
  char score[16];
  std::snprintf(score, sizeof(score), "%d", oom_score_of(plan_.process, inherited_));
  const int refused = write_cgroup_file(directory, "oom_score_adj", score);
  if (refused < 0) return failure_.set("oom_score_adj", -refused, score);
  if (!plan_.makes_namespace(CLONE_NEWUSER)) return true;
  const std::string* maps[2] = {&plan_.uid_map, &plan_.gid_map};
  constexpr const char* kFiles[2] = {"uid_map", "gid_map"};
  for (int i = 0; i < 2; ++i) {
    const int error = write_cgroup_file(directory, kFiles[i], maps[i]->c_str());
    if (error < 0) return failure_.set("user namespace", -error, kFiles[i]);
  }
  return true;
}

// What is done from outside while the child mounts its root.
bool ContainerStart::prepare_around(Container& container) {
  if (!write_process_files(container.pid)) return false;
  for (const auto& dir : cgroups_.attach) {
    const int error = enter_cgroup(dir.c_str(), container.pid);
    if (error < 0) return failure_.set("cgroup", -error, dir);
  }
  // A child that failed meanwhile is heard of by its report.
  send_order(sync_.get(), Order::kAttached);
  container.start_ticks = start_ticks(container.pid);
  record_.write({.id = plan_.id, .nonce = plan_.nonce, .pid = container.pid, .start_ticks = container.start_ticks});
  char path[48];
  std::snprintf(path, sizeof(path), "/proc/%d/ns/net", container.pid);
  UniqueFd network(open(path, O_RDONLY | O_CLOEXEC));
  if (!network && (!plan_.interfaces.empty() || plan_.has_names)) return failure_.set("network", errno, path);
  if (!create_links(plan_.interfaces, network.get(), failure_)) return false;
  if (plan_.has_names && !open_name_sockets(network.get(), container.name_sockets, failure_)) return false;
  if (plan_.makes_namespace(CLONE_NEWNET)) container.network = std::move(network);
  send_order(sync_.get(), Order::kLinked);
  return true;
}

bool ContainerStart::run_early_hooks(pid_t pid) {
  for (const char* stage : kBeforePivotStages) {
    if (!run_hooks(plan_, stage, "creating", pid, failure_)) return false;
  }
  return send_order(sync_.get(), Order::kResume) || failure_.set("sync", errno);
}

bool ContainerStart::await_program(Container& container) {
  for (;;) {
    Report report;
    UniqueFd master;
    UniqueFd slave;
    if (read_report(sync_.get(), report, master, slave) != ReadResult::kReport) return true;
    switch (report.notice) {
      case Notice::kPrepared:
        if (!run_early_hooks(container.pid)) return false;
        break;
      case Notice::kTerminal: {
        ShimStreams& streams = container.streams;
        streams.terminal = true;
        if (plan_.stdio.open_stdin) streams.input.reset(fcntl(master.get(), F_DUPFD_CLOEXEC, 3));
        streams.output[0] = std::move(master);
        streams.slave = std::move(slave);
        break;
      }
      case Notice::kFailed:
        failure_ = report.failure;
        return false;
      case Notice::kPid: break;
    }
  }
}

void ContainerStart::hold_namespaces(Container& container) {
  for (const auto& wanted : plan_.namespaces) {
    // The network's is held since it was made.
    if (!wanted.path.empty() || wanted.clone_flag == CLONE_NEWNET) continue;
    char path[48];
    std::snprintf(path, sizeof(path), "/proc/%d/ns/%s", container.pid, namespace_name(wanted.clone_flag));
    UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
    if (fd) container.held_namespaces.push_back(std::move(fd));
  }
}

void ContainerStart::undo(Container& container) {
  sync_.reset();
  if (container.pidfd) signal_pidfd(container.pidfd.get(), SIGKILL);
  cgroups_.kill_all();
  // Its cgroup is empty only when it was reaped. What a hook may have left is not waited for.
  while (container.pid > 0 && waitpid(container.pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  record_.blank();
  remove_links(plan_.interfaces);
  cgroups_.remove_all();
}

// A child that failed takes its namespaces and its /proc entry along, so that what is done around it fails too. What it
// said itself is the reason.
void ContainerStart::prefer_childs_failure() {
  if (!sync_) return;
  fcntl(sync_.get(), F_SETFL, O_NONBLOCK);
  Report report;
  UniqueFd none;
  while (read_report(sync_.get(), report, none, none) == ReadResult::kReport) {
    if (report.notice == Notice::kFailed) failure_ = report.failure;
  }
}

bool ContainerStart::start_process(Container& container) {
  if (!create_process(container)) return false;
  if (prepare_around(container)) return await_program(container);
  prefer_childs_failure();
  return false;
}

bool ContainerStart::run(Container& container) {
  record_.open(plan_.exit_record_path);
  if (!make_cgroups() || !make_streams(container) || !start_process(container)) {
    undo(container);
    return false;
  }
  container.started_ns = realtime_ns();
  hold_namespaces(container);
  return true;
}

}  // namespace gantry::shim
