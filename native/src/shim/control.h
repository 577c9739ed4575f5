// Control connections: frames of a little-endian uint32 length and one message, both ways.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/unique_fd.h"
#include "shim/loop.h"
#include "shim/messages.h"

namespace gantry::shim {

class ControlConnection;

// Who answers requests.
class ControlHandler {
 public:
  virtual ~ControlHandler() = default;

  // Answers one request, now or later, by `connection.send`. For later keep its `key`: it may be gone by then.
  virtual void handle(ControlConnection& connection, ShimRequest& request) = 0;
};

class ControlServer;

class ControlConnection : public Watch {
 public:
  ControlConnection(Loop& loop, ControlServer& server, UniqueFd socket, uint64_t key, bool said_hello);
  ~ControlConnection() override;

  void ready(uint32_t events) override;

  // Sends a whole ShimMessage. A peer that lets a megabyte pile up is cut off.
  void send(std::string_view message);

  // Number of the connection, unique in this process's life.
  uint64_t key() const { return key_; }
  bool said_hello() const { return said_hello_; }
  bool is_open() const { return socket_.valid(); }
  bool is_flushed() const { return sent_ == pending_.size(); }

 private:
  void read_some();
  bool take_frames();
  bool take_message(std::string_view bytes);
  void flush();
  void close();

  Loop& loop_;
  ControlServer& server_;
  UniqueFd socket_;
  uint64_t key_;
  bool said_hello_;
  std::string received_;
  std::string pending_;
  size_t sent_ = 0;
};

// The listening side of shim.sock, and all connections.
class ControlServer : public Watch {
 public:
  ControlServer(Loop& loop, ControlHandler& handler, UniqueFd listener);
  ~ControlServer() override;

  void ready(uint32_t events) override;

  // Takes over the connection that the process was born with; it counts as having said Hello.
  void adopt(UniqueFd socket);

  // Sends an event to every connection that has said Hello.
  void broadcast(std::string_view message);

  // As broadcast; where nobody is there to hear it, the next one to say Hello does.
  void report(std::string_view message);

  // The connection of this key, or null when it is gone.
  ControlConnection* find(uint64_t key);

  bool is_flushed() const;

  // Removes the socket file and listens no longer.
  void close();

 private:
  friend class ControlConnection;
  void connect(UniqueFd socket, bool said_hello);
  void forget(ControlConnection* connection);
  void tell_unheard(ControlConnection& connection);

  Loop& loop_;
  ControlHandler& handler_;
  UniqueFd listener_;
  uint64_t last_key_ = 0;
  std::vector<std::unique_ptr<ControlConnection>> connections_;
  std::vector<std::string> unheard_;
};

}  // namespace gantry::shim
