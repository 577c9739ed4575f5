#include "shim/shim.h"

#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "shim/exit_record.h"
#include "shim/hooks.h"

namespace gantry::shim {
namespace {

// Clients of an ended container may take their time to read the rest of its output, but not for ever.
constexpr uint32_t kLingerMs = 60 * 60 * 1000;
// Killed processes need a moment until their cgroup is empty.
constexpr int kRemoveAttempts = 50;
constexpr long kRemovePauseNs = 2000000;

int all_namespaces(const LaunchPlan& plan) {
  uint64_t flags = 0;
  for (const auto& wanted : plan.namespaces) flags |= wanted.clone_flag;
  return static_cast<int>(flags);
}

void complain(const char* what, const char* why) { std::fprintf(stderr, "gantry-shim: %s: %s\n", what, why); }

}  // namespace

Shim::Shim(std::unique_ptr<LaunchPlan> plan, Inheritance inheritance)
    : plan_(std::move(plan)),
      limits_(inheritance.limits),
      id_(plan_->id),
      nonce_(plan_->nonce),
      exit_record_path_(plan_->exit_record_path),
      namespaces_(all_namespaces(*plan_)),
      kill_cgroup_on_exit_(plan_->kill_cgroup_on_exit),
      cgroups_(plan_->cgroup),
      // Microseconds of the clock, so that numbers of a container's later runs follow those of its earlier ones.
      sequence_(static_cast<uint64_t>(realtime_ns() / 1000)),
      log_(std::move(plan_->log)),
      stdio_(loop_, &log_, plan_->stdio.stdin_once),
      nats_(loop_, plan_->nats_url_path),
      oom_(loop_, *this),
      control_(loop_, *this, std::move(inheritance.control_listener)),
      streams_(loop_, *this, std::move(inheritance.stream_listener)) {
  control_.adopt(std::move(inheritance.first_connection));
  for (auto& ticket : plan_->tickets) tickets_.add(std::move(ticket));
}

Shim::~Shim() {
  // Clients and execs name the streams and this object: they go first.
  execs_.clear();
}

bool Shim::start(Failure& failure) {
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  signals_.reset(signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return failure.set("signalfd", errno);
  // From the beginning, so that an end is heard of before what is asked after it.
  loop_.add(signals_.get(), EPOLLIN, this);
  if (!log_.open(failure)) return false;
  ContainerStart start(*plan_, cgroups_, limits_, failure);
  return start.run(container_);
}

void Shim::report_start(const Failure* failure) {
  if (failure != nullptr) {
    control_.broadcast(encode_start_failed(*failure));
    return;
  }
  control_.broadcast(encode_started(container_.pid, container_.start_ticks, container_.started_ns));
  char fields[96];
  std::snprintf(fields, sizeof(fields), ",\"pid\":%d,\"timeNano\":%" PRId64, container_.pid, container_.started_ns);
  publish("started", fields);
}

// What only the start needed is most of the memory.
void Shim::forget_plan() {
  for (const auto& text : run_late_hooks(*plan_, "poststart", "running", container_.pid)) {
    control_.broadcast(encode_warning(text));
  }
  auto hooks = std::make_unique<LaunchPlan>();
  hooks->hooks = std::move(plan_->hooks);
  hooks->hook_state_json = std::move(plan_->hook_state_json);
  std::erase_if(hooks->hooks, [](const HookPlan& hook) { return hook.stage != "poststop"; });
  plan_ = hooks->hooks.empty() ? nullptr : std::move(hooks);
  malloc_trim(0);
}

int Shim::run() {
  Failure failure = {};
  running_ = start(failure);
  report_start(running_ ? nullptr : &failure);
  if (!running_) {
    control_.close();
    streams_.close();
    ended_ = true;
  } else {
    stdio_.open(std::move(container_.streams));
    oom_.open(cgroups_.oom_dir, cgroups_.v2_dir);
    if (plan_->has_names) {
      names_ = std::make_unique<NameServer>(loop_, std::move(container_.name_sockets), container_.network.get());
      names_->table().set(std::move(plan_->names));
    }
    forget_plan();
    rlimit files = limits_.files;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  loop_.run(*this);
  return running_ ? 0 : 1;
}

void Shim::publish(const char* event, const std::string& fields) {
  const std::string seq = std::to_string(++sequence_);
  std::string payload = "{\"id\":\"" + id_ + "\",\"seq\":" + seq + ",\"event\":\"" + event + '"' + fields + '}';
  nats_.publish("gantry.process." + std::string(event) + '.' + id_, id_ + ':' + seq, payload);
}

void Shim::ready(uint32_t) {
  signalfd_siginfo info;
  while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
  }
  reap();
}

void Shim::reap() {
  for (;;) {
    siginfo_t info = {};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) return;
    child_ended(info.si_pid, ExitStatus::from_wait(info.si_code, info.si_status));
  }
}

void Shim::child_ended(pid_t pid, const ExitStatus& status) {
  if (pid == container_.pid && running_ && !ended_) return container_ended(status);
  log_.reaped(pid);
  for (const auto& held : execs_) {
    if (held->middle_pid() == pid) return;
  }
  Exec* exec = find_exec(pid);
  if (exec == nullptr) {
    // Its PID may be in a report that was not read yet.
    for (size_t i = 0; i < execs_.size(); ++i) {
      if (execs_[i]->is_starting()) execs_[i]->ready(0);
    }
    exec = find_exec(pid);
  } else if (exec->is_starting()) {
    exec->ready(0);
    exec = find_exec(pid);
  }
  if (exec != nullptr && exec->is_running()) return exec_ended(*exec, status, {});
  const bool any_starting = std::any_of(execs_.begin(), execs_.end(), [](const auto& held) { return held->is_starting(); });
  if (any_starting) unclaimed_.push_back({pid, status});
}

// Whatever still runs of execs goes with the container, and is told of before its end.
void Shim::end_execs() {
  for (const auto& exec : execs_) exec->signal(SIGKILL);
  reap();
  while (!execs_.empty()) exec_ended(*execs_.back(), {128 + SIGKILL, SIGKILL}, {});
}

bool Shim::remove_cgroups() {
  for (int attempt = 0; attempt < kRemoveAttempts; ++attempt) {
    if (cgroups_.remove_all()) return true;
    if (attempt == 0) cgroups_.kill_all();
    reap();
    // An empty v1 cgroup tells nobody; what was killed is gone within a few of these.
    const timespec pause = {0, kRemovePauseNs};
    nanosleep(&pause, nullptr);
  }
  return false;
}

void Shim::container_ended(const ExitStatus& status) {
  ended_ = true;
  const int64_t now = realtime_ns();
  if (kill_cgroup_on_exit_) cgroups_.kill_all();
  oom_.check();
  end_execs();
  names_.reset();
  // Whoever connects from now on is refused; what was printed reaches the log and those who are attached.
  streams_.ready(0);
  streams_.close();
  stdio_.finish();
  publish("exited", ",\"pid\":" + std::to_string(container_.pid) + ",\"exitCode\":" + std::to_string(status.exit_code) +
                        ",\"signal\":" + std::to_string(status.signal) +
                        ",\"oomKilled\":" + (oom_killed_ ? "true" : "false") + ",\"timeNano\":" + std::to_string(now));
  const int error = write_exit_record(exit_record_path_, {.run = {.id = id_,
                                                                  .nonce = nonce_,
                                                                  .pid = container_.pid,
                                                                  .start_ticks = container_.start_ticks,
                                                                  .started_nano = container_.started_ns},
                                                          .status = status,
                                                          .oom_killed = oom_killed_,
                                                          .time_nano = now,
                                                          .seq = sequence_});
  if (error < 0) complain("exit record", error_text(-error));
  // Before anyone is told: who starts the container again makes the same directories.
  if (!remove_cgroups()) complain("cgroup", "still in use");
  control_.close();
  control_.broadcast(encode_exited(status, oom_killed_, now));
  if (plan_) {
    for (const auto& text : run_late_hooks(*plan_, "poststop", "stopped", 0)) control_.broadcast(encode_warning(text));
  }
  loop_.set_alarm(this, kLingerMs);
}

void Shim::expired() { loop_.stop(); }

void Shim::round_ended() {
  if (ended_ && !streams_.has_clients() && nats_.is_idle() && control_.is_flushed()) loop_.stop();
}

void Shim::out_of_memory() {
  oom_killed_ = true;
  control_.broadcast(encode_oom());
  publish("oom", ",\"pid\":" + std::to_string(container_.pid) + ",\"timeNano\":" + std::to_string(realtime_ns()));
}

Stdio* Shim::find_stdio(std::string_view exec_id) {
  if (exec_id.empty()) return &stdio_;
  Exec* exec = find_exec(exec_id);
  return exec == nullptr ? nullptr : &exec->stdio();
}

Stdio* Shim::redeem(std::string_view ticket, StreamTicket& terms) {
  return tickets_.take(ticket, terms) ? find_stdio(terms.exec_id) : nullptr;
}

void Shim::attached(StreamClient&, const StreamTicket& terms) {
  control_.broadcast(encode_attached(terms.exec_id));
  Exec* exec = terms.exec_id.empty() ? nullptr : find_exec(terms.exec_id);
  if (exec != nullptr && exec->is_declared()) begin_exec(*exec);
}

void Shim::detached(const StreamTicket& terms, bool by_keys) {
  control_.broadcast(encode_detached(terms.exec_id, by_keys));
}

void Shim::closed(StreamClient* client) { streams_.forget(client); }

}  // namespace gantry::shim
