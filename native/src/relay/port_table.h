// All published ports, and the requests that change them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "relay/flat_json.h"
#include "relay/port.h"

namespace gantry::relay {

class PortTable {
 public:
  explicit PortTable(EventLoop& loop);

  // The answer to one request line, a JSON object without its newline. Never throws: bad requests are answered.
  std::string answer(std::string_view line);

 private:
  struct Entry {
    PortSpec spec;
    std::shared_ptr<Port> port;
  };

  std::string add(const JsonObject& request);
  std::string remove(const JsonObject& request);
  std::string list() const;
  void close(Entry& entry);

  EventLoop& loop_;
  std::map<std::string, Entry> ports_;
};

}  // namespace gantry::relay
