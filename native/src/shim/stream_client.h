// One connection of io.sock: its ticket, then standard streams both ways.
//
//   client -> shim    32-byte ticket, then raw standard input; half-close ends it
//   shim -> client    raw bytes, or frames: stream (1, 2), 0, 0, 0, big-endian uint32 length, payload
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "kernel/unique_fd.h"
#include "shim/detach_keys.h"
#include "shim/loop.h"
#include "shim/plan.h"

namespace gantry::shim {

class Stdio;
class StreamClient;

// Where clients come from and go to.
class StreamHost {
 public:
  virtual ~StreamHost() = default;

  // Takes the ticket out of the book and finds its process; null (and nothing taken) when it is unknown.
  virtual Stdio* redeem(std::string_view ticket, StreamTicket& terms) = 0;

  // The client was let in; its process may be started now.
  virtual void attached(StreamClient& client, const StreamTicket& terms) = 0;

  // The client left, by keys or otherwise. Called once for each that was attached.
  virtual void detached(const StreamTicket& terms, bool by_keys) = 0;

  // The connection is closed; `client` is to be buried.
  virtual void closed(StreamClient* client) = 0;
};

class StreamClient : public Watch, public Alarm {
 public:
  StreamClient(Loop& loop, StreamHost& host, UniqueFd socket);
  ~StreamClient() override;

  void ready(uint32_t events) override;
  void expired() override;
  // A new connection's ticket is read before any output is.
  bool urgent() const override { return stdio_ == nullptr; }

  // Reads the ticket if it is there already.
  void begin();

  // Sends output of a stream that the client asked for, and holds back what the socket does not take.
  void send(int stream, std::string_view data);

  // Too much is held back.
  bool is_congested() const;

  // Closes in order: after what is held back was sent, and the peer has seen the end.
  void end();

  // The process's streams go away.
  void abandon();

  // Asks epoll for what is wanted now.
  void update_interest();

 private:
  enum class State { kTicket, kAttached, kEnding, kClosing, kClosed };

  void read_ticket();
  void read_input();
  void take_input(std::string_view bytes);
  void input_ended();
  void flush();
  void close_writing();
  void close_now(bool by_keys);

  Loop& loop_;
  StreamHost& host_;
  UniqueFd socket_;
  State state_ = State::kTicket;
  std::array<char, kTicketBytes> ticket_ = {};
  size_t ticket_length_ = 0;
  StreamTicket terms_;
  DetachKeys keys_{std::string()};
  Stdio* stdio_ = nullptr;
  bool input_open_ = true;
  uint32_t interest_ = 0;
  std::string pending_;
  size_t sent_ = 0;
};

// The listening side of io.sock.
class StreamListener : public Watch {
 public:
  StreamListener(Loop& loop, StreamHost& host, UniqueFd listener);
  ~StreamListener() override;

  void ready(uint32_t events) override;
  bool urgent() const override { return true; }
  void close();
  void forget(StreamClient* client);
  bool has_clients() const { return !clients_.empty(); }

 private:
  Loop& loop_;
  StreamHost& host_;
  UniqueFd listener_;
  std::vector<std::unique_ptr<StreamClient>> clients_;
};

}  // namespace gantry::shim
