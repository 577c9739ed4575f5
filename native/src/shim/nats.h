// Publishing process events on NATS, by its text protocol over a connection that lives for one batch.
//
// Best effort: nothing here waits, and what is not out after two seconds is dropped. Brokers are named by address
// (`nats://user:password@127.0.0.1:4222`), for there is no resolver in this program.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kernel/unique_fd.h"
#include "shim/loop.h"

namespace gantry::shim {

class NatsPublisher : public Watch, public Alarm {
 public:
  // The file at `url_path` is read at each publish; empty = publish nothing.
  NatsPublisher(Loop& loop, std::string url_path);
  ~NatsPublisher() override;

  // Queues one message with its Nats-Msg-Id header and begins to send.
  void publish(std::string_view subject, std::string_view message_id, std::string_view payload);

  void ready(uint32_t events) override;
  void expired() override;

  // Nothing waits to be sent.
  bool is_idle() const { return queue_.empty() && !socket_; }

 private:
  enum class State { kConnecting, kGreeting, kSending };

  bool connect();
  void read_some();
  void take_lines();
  void flush();
  void finish();

  Loop& loop_;
  std::string url_path_;
  UniqueFd socket_;
  State state_ = State::kConnecting;
  // Messages not yet given to the connection, and what the connection has to send.
  std::string queue_;
  std::string login_;
  std::string out_;
  size_t sent_ = 0;
  std::string in_;
};

// The parts of `nats://[user:password@]address:port`; false when it is anything else.
struct NatsUrl {
  std::string user;
  std::string password;
  std::string address;
  uint16_t port = 4222;
};
bool parse_nats_url(std::string_view text, NatsUrl& out);

}  // namespace gantry::shim
