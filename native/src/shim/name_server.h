// The name server of a container: 127.0.0.11, UDP and TCP.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/unique_fd.h"
#include "shim/dns_message.h"
#include "shim/loop.h"
#include "shim/name_forward.h"
#include "shim/name_sockets.h"
#include "shim/name_table.h"

namespace gantry::shim {

class NameConnection;

class NameServer : public NameAnswerer, public Watch {
 public:
  // `network`: descriptor of the container's network namespace, which stays the caller's.
  NameServer(Loop& loop, NameSockets sockets, int network);
  ~NameServer() override;

  NameTable& table() { return table_; }

  // NameAnswerer
  void answer(const NameAsker& asker, std::string_view message) override;
  // Watch of both listening sockets.
  void ready(uint32_t events) override;

 private:
  friend class NameConnection;
  // Answers a message, now or when an upstream has answered.
  void take(std::string_view message, const NameAsker& asker);
  bool take_datagram();
  void accept_all();
  void forget(NameConnection* connection);
  uint32_t next_turn();

  Loop& loop_;
  NameSockets sockets_;
  NameTable table_;
  NameForwarder forwarder_;
  uint32_t turn_ = 1;
  uint64_t last_key_ = 0;
  std::vector<std::unique_ptr<NameConnection>> connections_;
};

}  // namespace gantry::shim
