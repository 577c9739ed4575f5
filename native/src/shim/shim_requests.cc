// The shim's answers to the control protocol, and the life of its execs.
#include <errno.h>
#include <signal.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "kernel/namespace.h"
#include "shim/shim.h"

namespace gantry::shim {
namespace {

constexpr size_t kExecsMax = 4096;

std::string refuse(uint64_t seq, const char* code, std::string message) {
  return encode_error(seq, {.code = code, .message = std::move(message)});
}

std::string done_or_errno(uint64_t seq, const char* step, int error) {
  if (error >= 0) return encode_ack(seq);
  if (error == -ESRCH) return refuse(seq, "gone", "the process has ended");
  return encode_error(seq, {.code = "errno", .errno_value = -error, .step = step, .message = error_text(-error)});
}

// The container's first process is coming to its end: nobody can follow it any more.
bool is_container_ending(const Failure& failure) {
  return failure.error == ESRCH && std::string_view(failure.step) == "setns";
}

// The end of dockerd's message: the error's class, or a hint where a path is no directory.
const char* message_end(std::string_view message) {
  return message.find("not a directory") == std::string_view::npos
             ? ": unknown"
             : ": Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists "
               "and is the expected type";
}

// A plan that runc would refuse before there is a process.
bool is_refused_plan(const Failure& failure) { return std::string_view(failure.step) == "cwd"; }

// Docker's code for an exec that could not start.
int exec_failure_code(const Failure& failure) {
  const int code = failure.exit_code();
  return code == 128 && !is_refused_plan(failure) ? 126 : code;
}

std::string exec_failure_text(const Failure& failure) {
  const char* const where = is_refused_plan(failure) ? "" : "unable to start container process: ";
  return std::string("OCI runtime exec failed: exec failed: ") + where + failure.message + message_end(failure.message);
}

}  // namespace

void Shim::handle(ControlConnection& connection, ShimRequest& request) {
  const uint64_t key = connection.key();
  const std::string message = answer(connection, request);
  if (message.empty()) return;
  ControlConnection* still_there = control_.find(key);
  if (still_there != nullptr) still_there->send(message);
}

std::string Shim::answer(ControlConnection& connection, ShimRequest& request) {
  const uint64_t seq = request.seq;
  switch (request.asked) {
    case Asked::kHello:
    case Asked::kState: return answer_state(seq);
    case Asked::kSignal: return answer_signal(seq, request.signal);
    case Asked::kResize: return answer_resize(seq, request.resize);
    case Asked::kCloseStdin: return answer_close_stdin(seq, request.close_stdin_exec_id);
    case Asked::kAddTicket: return answer_ticket(seq, std::move(request.ticket));
    case Asked::kExec: return answer_exec(connection, seq, std::move(request.exec));
    case Asked::kReopenLog: return done_or_errno(seq, "log", log_.reopen());
    case Asked::kSetNames: return answer_set_names(seq, std::move(request.names));
    case Asked::kChangeNames: return answer_change_names(seq, std::move(request.names_change));
    case Asked::kNothing: break;
  }
  return refuse(seq, "invalid", "no request");
}

std::string Shim::answer_state(uint64_t seq) {
  Hello hello;
  hello.id = id_;
  hello.nonce = nonce_;
  hello.pid = running_ && !ended_ ? container_.pid : 0;
  hello.pid_start_ticks = hello.pid == 0 ? 0 : container_.start_ticks;
  hello.started_ns = container_.started_ns;
  for (const auto& exec : execs_) hello.execs.push_back({exec->id(), exec->pid()});
  return encode_hello(seq, hello);
}

// The first table of a container makes its name server: it has been connected to a network with names.
std::string Shim::answer_set_names(uint64_t seq, NameTablePlan plan) {
  if (ended_) return refuse(seq, "gone", "the container has ended");
  if (!container_.network) return refuse(seq, "invalid", "the container has no network namespace of its own");
  if (!names_) {
    NameSockets sockets;
    Failure failure = {};
    if (!open_name_sockets(container_.network.get(), sockets, failure)) {
      return encode_error(seq, {.code = "errno", .errno_value = failure.error, .step = failure.step, .message = failure.message});
    }
    names_ = std::make_unique<NameServer>(loop_, std::move(sockets), container_.network.get());
  }
  names_->table().set(std::move(plan));
  return encode_ack(seq);
}

std::string Shim::answer_change_names(uint64_t seq, NamesChange change) {
  if (ended_) return refuse(seq, "gone", "the container has ended");
  if (!names_ || !names_->table().change(std::move(change))) return refuse(seq, "not_found", "no such network in the table");
  return encode_ack(seq);
}

std::string Shim::answer_signal(uint64_t seq, const SignalRequest& request) {
  if (request.signal < 0 || request.signal > SIGRTMAX) return refuse(seq, "invalid", "no such signal");
  if (ended_) return refuse(seq, "gone", "the container has ended");
  if (request.all) {
    cgroups_.signal_all(request.signal);
    return encode_ack(seq);
  }
  int error = 0;
  if (request.exec_id.empty()) {
    error = signal_pidfd(container_.pidfd.get(), request.signal);
  } else {
    const Exec* exec = find_exec(request.exec_id);
    if (exec == nullptr) return refuse(seq, "not_found", "no such exec");
    error = exec->signal(request.signal);
    if (error == -ESRCH) return refuse(seq, "not_found", "no such exec");
  }
  // A frozen v1 cgroup holds even SIGKILL back until it runs again.
  if (request.signal == SIGKILL && error == 0) cgroups_.thaw();
  return done_or_errno(seq, "signal", error);
}

std::string Shim::answer_resize(uint64_t seq, const ResizeRequest& request) {
  Stdio* stdio = find_stdio(request.exec_id);
  if (stdio == nullptr) return refuse(seq, "not_found", "no such exec");
  const int error = stdio->resize(request.height, request.width);
  if (error == -ENOTTY) return refuse(seq, "invalid", "the process has no terminal");
  return done_or_errno(seq, "resize", error);
}

std::string Shim::answer_close_stdin(uint64_t seq, const std::string& exec_id) {
  Stdio* stdio = find_stdio(exec_id);
  if (stdio == nullptr) return refuse(seq, "not_found", "no such exec");
  if (!stdio->close_input()) return refuse(seq, "invalid", "a terminal's input cannot be closed");
  return encode_ack(seq);
}

std::string Shim::answer_ticket(uint64_t seq, StreamTicket ticket) {
  if (ended_) return refuse(seq, "gone", "the container has ended");
  if (!ticket.exec_id.empty() && find_exec(ticket.exec_id) == nullptr) return refuse(seq, "not_found", "no such exec");
  if (!tickets_.add(std::move(ticket))) return refuse(seq, "invalid", "the ticket is not 32 new bytes");
  return encode_ack(seq);
}

std::string Shim::answer_exec(ControlConnection& connection, uint64_t seq, ExecRequest request) {
  if (ended_) return refuse(seq, "gone", "the container has ended");
  if (request.exec_id.empty() || request.process.args.empty()) return refuse(seq, "invalid", "exec without ID or command");
  if (find_exec(request.exec_id) != nullptr) return refuse(seq, "invalid", "an exec of this ID is there");
  if (execs_.size() >= kExecsMax) return refuse(seq, "invalid", "too many execs");
  const bool later = request.start_on_attach;
  StreamTicket ticket = std::move(request.ticket);
  if (!ticket.ticket.empty()) {
    ticket.exec_id = request.exec_id;
    if (!tickets_.add(std::move(ticket))) return refuse(seq, "invalid", "the ticket is not 32 new bytes");
  }
  execs_.push_back(std::make_unique<Exec>(loop_, *this, std::move(request)));
  if (later) return encode_ack(seq);
  Exec& exec = *execs_.back();
  exec.reply_key = connection.key();
  exec.reply_seq = seq;
  begin_exec(exec);
  return {};
}

bool Shim::begin_exec(Exec& exec) {
  const ExecTarget target = {.pid = container_.pid,
                             .pidfd = container_.pidfd.get(),
                             .namespaces = namespaces_,
                             .cgroups = &cgroups_,
                             .inherited = &limits_};
  Failure failure = {};
  if (exec.start(target, failure)) return true;
  exec_failed(exec, failure);
  return false;
}

void Shim::exec_started(Exec& exec) {
  const std::string message = encode_exec_started(exec.reply_seq, exec.id(), exec.pid());
  if (exec.reply_seq == 0) {
    control_.broadcast(message);
  } else if (ControlConnection* asker = control_.find(exec.reply_key)) {
    asker->send(message);
  }
  claim_exit(exec);
}

void Shim::forget_unclaimed() {
  if (std::none_of(execs_.begin(), execs_.end(), [](const auto& held) { return held->is_starting(); })) unclaimed_ = {};
}

void Shim::claim_exit(Exec& exec) {
  const pid_t pid = exec.pid();
  const auto found = std::find_if(unclaimed_.begin(), unclaimed_.end(), [&](const auto& exit) { return exit.pid == pid; });
  if (found == unclaimed_.end()) return forget_unclaimed();
  const ExitStatus status = found->status;
  unclaimed_.erase(found);
  exec_ended(exec, status, {});
}

void Shim::exec_failed(Exec& exec, const Failure& failure) {
  const int code = exec_failure_code(failure);
  const bool ending = is_container_ending(failure);
  if (exec.reply_seq != 0) {
    ControlConnection* asker = control_.find(exec.reply_key);
    if (asker != nullptr) {
      asker->send(ending ? refuse(exec.reply_seq, "gone", "the container has ended")
                         : encode_error(exec.reply_seq, {.code = "errno",
                                                         .errno_value = failure.error,
                                                         .step = failure.step,
                                                         .message = failure.message,
                                                         .exit_code = code}));
    }
    exec.stdio().finish();
    bury_exec(exec);
    return;
  }
  exec.stdio().print(1, (ending ? "container " + id_ + " is not running" : exec_failure_text(failure)) + "\r\n");
  exec_ended(exec, {code, 0}, failure.message);
}

void Shim::exec_ended(Exec& exec, const ExitStatus& status, std::string_view message) {
  exec.stdio().finish();
  const int64_t now = realtime_ns();
  control_.report(encode_exec_exited(exec.id(), status, now, message));
  publish("exec-exited", ",\"execId\":\"" + exec.id() + "\",\"pid\":" + std::to_string(exec.pid()) +
                             ",\"exitCode\":" + std::to_string(status.exit_code) +
                             ",\"signal\":" + std::to_string(status.signal) + ",\"timeNano\":" + std::to_string(now));
  bury_exec(exec);
}

void Shim::bury_exec(Exec& exec) {
  tickets_.drop_exec(exec.id());
  const auto place = std::find_if(execs_.begin(), execs_.end(), [&](const auto& held) { return held.get() == &exec; });
  if (place == execs_.end()) return;
  loop_.bury(std::move(*place));
  execs_.erase(place);
  forget_unclaimed();
}

Exec* Shim::find_exec(std::string_view id) {
  for (const auto& exec : execs_) {
    if (exec->id() == id) return exec.get();
  }
  return nullptr;
}

Exec* Shim::find_exec(pid_t pid) {
  for (const auto& exec : execs_) {
    if (exec->pid() == pid && pid != 0) return exec.get();
  }
  return nullptr;
}

}  // namespace gantry::shim
