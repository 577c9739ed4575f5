#include "shim/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "kernel/cgroup.h"
#include "kernel/namespace.h"
#include "shim/process.h"

namespace gantry::shim {
namespace {

// Everything the two processes of a start need.
struct Entry {
  const ProcessPlan& plan;
  const ExecTarget& target;
  ExecArrays& arrays;
  ChildStreams streams;
  int sync;
};

[[noreturn]] void give_up(int sync, const Failure& failure) {
  send_failure(sync, failure);
  _exit(127);
}

bool own_user_namespace(const ExecTarget& target, Failure& failure) {
  if ((target.namespaces & CLONE_NEWUSER) == 0) return true;
  const int error = become(0, 0, nullptr, 0);
  return error == 0 || failure.set("user namespace", -error);
}

// The process itself, born inside all namespaces.
[[noreturn]] void run_inside(const Entry& entry, HostHandles& host) {
  Failure failure = {};
  Terminal terminal;
  const UniqueFd root(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!own_user_namespace(entry.target, failure) || !die_with_shim(entry.sync, failure) ||
      !host.follow_self(failure)) {
    give_up(entry.sync, failure);
  }
  if (setsid() < 0) {
    failure.set("setsid", errno);
    give_up(entry.sync, failure);
  }
  if (entry.plan.terminal) {
    if (!open_terminal(root.get(), entry.plan.console_height, entry.plan.console_width, terminal, failure)) {
      give_up(entry.sync, failure);
    }
    send_terminal(entry.sync, terminal.master.get(), terminal.slave.get());
    terminal.master.reset();
  }
  const ProcessContext context = {.plan = entry.plan,
                                  .arrays = entry.arrays,
                                  .host = host,
                                  .streams = entry.streams,
                                  .slave = terminal.slave.get(),
                                  .sync = entry.sync,
                                  .root = root.get(),
                                  .inherited = *entry.target.inherited,
                                  .make_cwd = false};
  become_program(context, failure);
  give_up(entry.sync, failure);
}

// Enters cgroups and namespaces for the process that it then bears; entering a PID namespace counts for children only.
[[noreturn]] void run_middle(const Entry& entry) {
  Failure failure = {};
  HostHandles host;
  if (!host.open(failure)) give_up(entry.sync, failure);
  char score[16];
  std::snprintf(score, sizeof(score), "%d", oom_score_of(entry.plan, *entry.target.inherited));
  const int refused = host.write_self("oom_score_adj", score);
  if (refused < 0) {
    failure.set("oom_score_adj", -refused, score);
    give_up(entry.sync, failure);
  }
  for (const auto& dir : entry.target.cgroups->attach) {
    const int error = enter_cgroup(dir.c_str(), 0);
    if (error < 0) {
      failure.set("cgroup", -error, dir);
      give_up(entry.sync, failure);
    }
  }
  if (setns(entry.target.pidfd, entry.target.namespaces) != 0) {
    failure.set("setns", errno);
    give_up(entry.sync, failure);
  }
  CloneRequest request;
  request.flags = CLONE_PARENT;
  const pid_t pid = clone_process(request);
  if (pid == 0) run_inside(entry, host);
  if (pid < 0) {
    // The kernel has the same number for a lack of memory and for a PID namespace that is coming to its end; the
    // namespaces of its first process tell them apart.
    if (setns(entry.target.pidfd, entry.target.namespaces) != 0 && errno == ESRCH) {
      failure.set("setns", ESRCH);
    } else {
      failure.set("clone", -pid);
    }
    give_up(entry.sync, failure);
  }
  send_report(entry.sync, Notice::kPid, pid);
  _exit(0);
}

}  // namespace

Exec::Exec(Loop& loop, ExecOwner& owner, ExecRequest request)
    : loop_(loop),
      owner_(owner),
      id_(std::move(request.exec_id)),
      process_(std::move(request.process)),
      open_stdin_(request.open_stdin),
      stdio_(loop, nullptr, true) {
  if (process_.terminal) stdio_.expect_terminal();
}

Exec::~Exec() {
  if (sync_) loop_.remove(sync_.get(), this);
}

bool Exec::make_streams(ChildStreams& child, UniqueFd (&child_ends)[3], Failure& failure) {
  if (process_.terminal) return true;
  ShimStreams streams;
  for (int i = open_stdin_ ? 0 : 1; i < 3; ++i) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return failure.set("stdio", errno, "pipe");
    child_ends[i].reset(fds[i == 0 ? 0 : 1]);
    child.fds[i] = child_ends[i].get();
    UniqueFd ours(fds[i == 0 ? 1 : 0]);
    if (i == 0) {
      streams.input = std::move(ours);
    } else {
      streams.output[i - 1] = std::move(ours);
    }
  }
  stdio_.open(std::move(streams));
  return true;
}

bool Exec::start(const ExecTarget& target, Failure& failure) {
  state_ = State::kFailed;
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) return failure.set("sync", errno);
  UniqueFd ours(fds[0]);
  const UniqueFd theirs(fds[1]);
  ChildStreams streams;
  UniqueFd child_ends[3];
  if (!make_streams(streams, child_ends, failure)) return false;
  UniqueFd v2;
  if (!target.cgroups->v2_dir.empty()) {
    v2.reset(open(target.cgroups->v2_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!v2) return failure.set("cgroup", errno, target.cgroups->v2_dir);
  }
  // The program finds it there: it does not wait for us to hear of its terminal.
  if (stdio_.early_rows() + stdio_.early_columns() > 0) {
    process_.console_height = stdio_.early_rows();
    process_.console_width = stdio_.early_columns();
  }
  ExecArrays arrays(process_.args, process_.env);
  const Entry entry = {.plan = process_, .target = target, .arrays = arrays, .streams = streams, .sync = theirs.get()};
  CloneRequest request;
  request.cgroup = v2.get();
  pid_t pid = clone_process(request);
  if (pid == -EBUSY && v2) {
    // An engine or systemd in the container handed controllers down, so its cgroup takes no processes (cgroups(7)).
    v2 = target.cgroups->open_v2_of(target.pid);
    request.cgroup = v2.get();
    if (v2) pid = clone_process(request);
  }
  if (pid < 0) return failure.set("clone", -pid);
  if (pid == 0) {
    // A copy of the shim's end would keep the hand-shake from ending with the shim.
    ours.reset();
    run_middle(entry);
  }
  middle_pid_ = pid;
  sync_ = std::move(ours);
  fcntl(sync_.get(), F_SETFL, O_NONBLOCK);
  loop_.add(sync_.get(), EPOLLIN, this);
  state_ = State::kStarting;
  return true;
}

void Exec::ready(uint32_t) {
  while (sync_) {
    Report report;
    UniqueFd master;
    UniqueFd slave;
    switch (read_report(sync_.get(), report, master, slave)) {
      case ReadResult::kWouldBlock: return;
      case ReadResult::kReport: take_report(report, std::move(master), std::move(slave)); break;
      case ReadResult::kEnd: start_ended(); return;
    }
  }
}

void Exec::take_report(const Report& report, UniqueFd master, UniqueFd slave) {
  switch (report.notice) {
    case Notice::kPid:
      pid_ = report.value;
      pidfd_.reset(open_pidfd(pid_));
      break;
    case Notice::kTerminal: {
      ShimStreams streams;
      streams.terminal = true;
      if (open_stdin_) streams.input.reset(fcntl(master.get(), F_DUPFD_CLOEXEC, 3));
      streams.output[0] = std::move(master);
      streams.slave = std::move(slave);
      stdio_.open(std::move(streams));
      break;
    }
    case Notice::kFailed:
      loop_.remove(sync_.get(), this);
      sync_.reset();
      state_ = State::kFailed;
      owner_.exec_failed(*this, report.failure);
      break;
    case Notice::kPrepared: break;
  }
}

// Both ends of the hand-shake closed without a word of failure: the program runs (or was killed, as its end will say).
void Exec::start_ended() {
  loop_.remove(sync_.get(), this);
  sync_.reset();
  process_ = {};
  if (pid_ != 0) {
    state_ = State::kRunning;
    owner_.exec_started(*this);
    return;
  }
  state_ = State::kFailed;
  Failure failure = {};
  failure.say("exec", ESRCH, "the process that enters the container was killed");
  owner_.exec_failed(*this, failure);
}

int Exec::signal(int number) const {
  if (!pidfd_) return -ESRCH;
  return signal_pidfd(pidfd_.get(), number);
}

}  // namespace gantry::shim
