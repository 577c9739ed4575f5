// Execs: further processes in the running container.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "kernel/failure.h"
#include "kernel/unique_fd.h"
#include "shim/container.h"
#include "shim/loop.h"
#include "shim/messages.h"
#include "shim/stdio.h"
#include "shim/sync.h"

namespace gantry::shim {

class Exec;

// Told of the start, which takes place beside the loop: a container that is frozen, or whose file system hangs, holds
// up nobody else.
class ExecOwner {
 public:
  virtual ~ExecOwner() = default;
  virtual void exec_started(Exec& exec) = 0;
  virtual void exec_failed(Exec& exec, const Failure& failure) = 0;
};

// Where execs go: what they need to know of the container.
struct ExecTarget {
  // The container's first process.
  pid_t pid = 0;
  int pidfd = -1;
  // CLONE_NEW* flags of all its namespaces.
  int namespaces = 0;
  const Cgroups* cgroups = nullptr;
  const Inherited* inherited = nullptr;
};

class Exec : public Watch {
 public:
  Exec(Loop& loop, ExecOwner& owner, ExecRequest request);
  ~Exec() override;

  // Begins the start; what comes of it is told to the owner. Only once.
  bool start(const ExecTarget& target, Failure& failure);

  // Reads reports of the start.
  void ready(uint32_t events) override;

  const std::string& id() const { return id_; }
  // 0 until it is known.
  pid_t pid() const { return pid_; }
  // The short-lived process that enters the container, 0 before the start.
  pid_t middle_pid() const { return middle_pid_; }
  bool is_declared() const { return state_ == State::kDeclared; }
  bool is_starting() const { return state_ == State::kStarting; }
  bool is_running() const { return state_ == State::kRunning; }
  Stdio& stdio() { return stdio_; }

  // Sends a signal; 0 or negative errno.
  int signal(int number) const;

  // Request that waits for the start: key of its connection and its number, 0 = none.
  uint64_t reply_key = 0;
  uint64_t reply_seq = 0;

 private:
  enum class State { kDeclared, kStarting, kRunning, kFailed };

  bool make_streams(ChildStreams& child, UniqueFd (&child_ends)[3], Failure& failure);
  void take_report(const Report& report, UniqueFd master, UniqueFd slave);
  void start_ended();

  Loop& loop_;
  ExecOwner& owner_;
  std::string id_;
  ProcessPlan process_;
  bool open_stdin_;
  State state_ = State::kDeclared;
  UniqueFd sync_;
  UniqueFd pidfd_;
  pid_t pid_ = 0;
  pid_t middle_pid_ = 0;
  Stdio stdio_;
};

}  // namespace gantry::shim
