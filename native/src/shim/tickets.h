// The book of one-time tickets for io.sock.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "shim/loop.h"
#include "shim/plan.h"

namespace gantry::shim {

class Tickets {
 public:
  // Adds a ticket; one with a time to live is forgotten when it has passed. False when it is empty or known already.
  bool add(StreamTicket ticket);

  // Takes a ticket out; false when it is unknown or too old.
  bool take(std::string_view ticket, StreamTicket& out);

  // Forgets all tickets of an exec.
  void drop_exec(std::string_view exec_id);

 private:
  struct Entry {
    StreamTicket ticket;
    // Monotonic milliseconds, 0 = never.
    uint64_t expires_ms;
  };

  void drop_old();

  std::vector<Entry> entries_;
};

}  // namespace gantry::shim
