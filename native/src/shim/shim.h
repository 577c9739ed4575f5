// The shim of one container: starts it, serves its streams and the control protocol, and reports its end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "shim/container.h"
#include "shim/control.h"
#include "shim/exec.h"
#include "shim/log.h"
#include "shim/loop.h"
#include "shim/name_server.h"
#include "shim/nats.h"
#include "shim/oom.h"
#include "shim/stream_client.h"
#include "shim/tickets.h"

namespace gantry::shim {

// The descriptors that the shim is born with.
struct Inheritance {
  UniqueFd control_listener;
  UniqueFd stream_listener;
  UniqueFd first_connection;
  Inherited limits;
};

class Shim : public ControlHandler,
             public StreamHost,
             public ExecOwner,
             public OomOwner,
             public RoundEnd,
             public Watch,
             public Alarm {
 public:
  Shim(std::unique_ptr<LaunchPlan> plan, Inheritance inheritance);
  ~Shim() override;

  // Starts the container and serves it until its end was told to everyone. The program's exit code.
  int run();

  // ControlHandler
  void handle(ControlConnection& connection, ShimRequest& request) override;
  // StreamHost
  Stdio* redeem(std::string_view ticket, StreamTicket& terms) override;
  void attached(StreamClient& client, const StreamTicket& terms) override;
  void detached(const StreamTicket& terms, bool by_keys) override;
  void closed(StreamClient* client) override;
  // ExecOwner
  void exec_started(Exec& exec) override;
  void exec_failed(Exec& exec, const Failure& failure) override;
  // OomOwner
  void out_of_memory() override;
  // RoundEnd: ends the loop when nothing is left to do.
  void round_ended() override;
  // Watch of the signal descriptor: children ended.
  void ready(uint32_t events) override;
  // Alarm: clients of an ended container had their time.
  void expired() override;

 private:
  // The exit of a child that is not known yet: an exec whose PID is still on its way.
  struct UnclaimedExit {
    pid_t pid;
    ExitStatus status;
  };

  bool start(Failure& failure);
  void report_start(const Failure* failure);
  void forget_plan();
  void reap();
  void child_ended(pid_t pid, const ExitStatus& status);
  void container_ended(const ExitStatus& status);
  void end_execs();
  bool remove_cgroups();
  void exec_ended(Exec& exec, const ExitStatus& status, std::string_view message);
  void claim_exit(Exec& exec);
  void forget_unclaimed();
  void bury_exec(Exec& exec);
  Exec* find_exec(std::string_view id);
  Exec* find_exec(pid_t pid);
  Stdio* find_stdio(std::string_view exec_id);
  bool begin_exec(Exec& exec);
  void publish(const char* event, const std::string& fields);

  // Answers to requests; each returns a whole message, empty when the answer comes later.
  std::string answer(ControlConnection& connection, ShimRequest& request);
  std::string answer_signal(uint64_t seq, const SignalRequest& request);
  std::string answer_resize(uint64_t seq, const ResizeRequest& request);
  std::string answer_close_stdin(uint64_t seq, const std::string& exec_id);
  std::string answer_ticket(uint64_t seq, StreamTicket ticket);
  std::string answer_exec(ControlConnection& connection, uint64_t seq, ExecRequest request);
  std::string answer_state(uint64_t seq);
  std::string answer_set_names(uint64_t seq, NameTablePlan plan);
  std::string answer_change_names(uint64_t seq, NamesChange change);

  Loop loop_;
  std::unique_ptr<LaunchPlan> plan_;
  Inherited limits_;
  std::string id_;
  std::string nonce_;
  std::string exit_record_path_;
  int namespaces_ = 0;
  bool kill_cgroup_on_exit_ = false;
  Cgroups cgroups_;
  Container container_;
  bool running_ = false;
  bool ended_ = false;
  bool oom_killed_ = false;
  uint64_t sequence_;
  UniqueFd signals_;
  Log log_;
  Stdio stdio_;
  Tickets tickets_;
  NatsPublisher nats_;
  OomWatch oom_;
  ControlServer control_;
  StreamListener streams_;
  std::unique_ptr<NameServer> names_;
  std::vector<std::unique_ptr<Exec>> execs_;
  std::vector<UnclaimedExit> unclaimed_;
};

}  // namespace gantry::shim
