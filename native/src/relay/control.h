// The control socket: a Unix stream on which each line is a request, answered by one line, in order.
#pragma once

#include <cstdint>
#include <list>
#include <memory>

#include "relay/event_loop.h"
#include "relay/port_table.h"

namespace gantry::relay {

class ControlClient;

class ControlServer final : public Handler {
 public:
  // Takes the listening socket over.
  ControlServer(EventLoop& loop, PortTable& table, UniqueFd listener);
  ~ControlServer() override;

  bool start();
  void on_events(uint32_t events) override;

 private:
  friend class ControlClient;
  void forget(ControlClient* client);

  EventLoop& loop_;
  PortTable& table_;
  UniqueFd listener_;
  std::list<std::shared_ptr<ControlClient>> clients_;
};

}  // namespace gantry::relay
