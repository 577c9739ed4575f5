// The control protocol's messages: requests as they come in, answers and events as they go out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/failure.h"
#include "shim/plan.h"

namespace gantry::shim {

struct SignalRequest {
  int32_t signal = 0;
  std::string exec_id;
  bool all = false;
};

struct ResizeRequest {
  std::string exec_id;
  uint32_t height = 0;
  uint32_t width = 0;
};

struct ExecRequest {
  std::string exec_id;
  ProcessPlan process;
  bool open_stdin = false;
  bool start_on_attach = false;
  StreamTicket ticket;
};

// Which request a ShimRequest holds.
enum class Asked { kNothing, kHello, kSignal, kResize, kCloseStdin, kAddTicket, kExec, kState, kReopenLog, kSetNames, kChangeNames };

struct ShimRequest {
  uint64_t seq = 0;
  Asked asked = Asked::kNothing;
  uint32_t protocol_version = 0;
  SignalRequest signal;
  ResizeRequest resize;
  std::string close_stdin_exec_id;
  StreamTicket ticket;
  ExecRequest exec;
  NameTablePlan names;
  NamesChange names_change;
};

bool decode(std::string_view bytes, ShimRequest& out);

// Why a request was refused; the fields of message Error.
struct RequestError {
  const char* code = "";
  int32_t errno_value = 0;
  std::string step = {};
  std::string message = {};
  int32_t exit_code = 0;
};

struct ExecState {
  std::string exec_id;
  int32_t pid = 0;
};

struct Hello {
  std::string_view id;
  std::string_view nonce;
  int32_t pid = 0;
  uint64_t pid_start_ticks = 0;
  int64_t started_ns = 0;
  std::vector<ExecState> execs;
};

// How a process ended, in the words of wait(2) turned into Docker's.
struct ExitStatus {
  int32_t exit_code = 0;
  int32_t signal = 0;

  static ExitStatus from_wait(int code, int status);
};

// Whole ShimMessages. `reply_to` is 0 for events.
std::string encode_error(uint64_t reply_to, const RequestError& error);
std::string encode_ack(uint64_t reply_to);
std::string encode_hello(uint64_t reply_to, const Hello& hello);
std::string encode_exec_started(uint64_t reply_to, std::string_view exec_id, int32_t pid);
std::string encode_started(int32_t pid, uint64_t start_ticks, int64_t time_nano);
std::string encode_start_failed(const Failure& failure);
std::string encode_exited(const ExitStatus& status, bool oom_killed, int64_t time_nano);
std::string encode_oom();
std::string encode_warning(std::string_view text);
std::string encode_exec_exited(std::string_view exec_id, const ExitStatus& status, int64_t time_nano,
                               std::string_view message);
std::string encode_attached(std::string_view exec_id);
std::string encode_detached(std::string_view exec_id, bool by_keys);

}  // namespace gantry::shim
