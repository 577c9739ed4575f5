// The hand-shake between the shim and a process that it is making, over one SOCK_SEQPACKET pair that closes on exec.
//
//   child                                    shim
//     (namespaces exist)
//     <------------------------ kAttached    cgroups hold it, ID maps are written
//     <------------------------ kLinked      its network interfaces exist
//     kPrepared ------------------------>    root is mounted, not yet entered       (only with hooks)
//     <------------------------ kResume      hooks ran                              (only with hooks)
//     kTerminal + 2 descriptors --------->   master and slave                       (only with a terminal)
//     kFailed + Failure  |  end of file      it will exit    |  the program runs
//
// An exec is made by a short-lived middle process, which sends kPid; the rest is the same without orders.
#pragma once

#include <cstdint>

#include "kernel/failure.h"
#include "kernel/unique_fd.h"

namespace gantry::shim {

// What a child reports.
enum class Notice : uint32_t { kPid = 1, kPrepared, kTerminal, kFailed };

// What the shim tells it, always in this order.
enum class Order : uint32_t { kAttached = 1, kLinked, kResume };

// One report; `failure` counts for kFailed only, `value` is the PID of kPid.
struct Report {
  Notice notice = Notice::kFailed;
  int32_t value = 0;
  Failure failure = {};
};

// What reading a report came to.
enum class ReadResult { kReport, kWouldBlock, kEnd };

// Child's side. Uses write(2) where it can, which every seccomp profile allows.
bool send_report(int socket, Notice notice, int32_t value);
void send_failure(int socket, const Failure& failure);
bool send_terminal(int socket, int master, int slave);

// Child's side: waits for the next order; false when the shim is gone or says something else.
bool await_order(int socket, Order expected);

// Shim's side.
bool send_order(int socket, Order order);

// Shim's side: one report, with the descriptors of kTerminal. Blocks unless the socket is non-blocking.
ReadResult read_report(int socket, Report& report, UniqueFd& master, UniqueFd& slave);

}  // namespace gantry::shim
