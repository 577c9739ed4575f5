// Asking other name servers what the table does not answer: the client's message goes out as it came, but for its ID,
// and the answer comes back as it is.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/unique_fd.h"
#include "shim/dns_message.h"
#include "shim/loop.h"
#include "shim/name_table.h"

namespace gantry::shim {

// Who asked: a UDP address, or a connection by its key.
struct NameAsker {
  bool tcp = false;
  uint64_t connection = 0;
  sockaddr_in address = {};
};

class NameAnswerer {
 public:
  virtual ~NameAnswerer() = default;

  // Gives an answer to whoever asked; he may be gone.
  virtual void answer(const NameAsker& asker, std::string_view message) = 0;
};

class Exchange;

class NameForwarder {
 public:
  // `network`: the container's network namespace, which stays the caller's.
  NameForwarder(Loop& loop, NameAnswerer& answerer, int network);
  ~NameForwarder();

  // Asks the table's upstreams one after the other, over UDP or TCP as the client did, and answers him by NameAnswerer.
  // Of a name that `is_known` nobody is told that it does not exist: without an answer it has no such record.
  void ask(const NameTable& table, const dns::Query& query, std::string_view message, const NameAsker& asker,
           bool is_known);

 private:
  friend class Exchange;
  void finish(Exchange* exchange);

  Loop& loop_;
  NameAnswerer& answerer_;
  int network_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
};

}  // namespace gantry::shim
