// Pipes to splice through. A connection borrows one only while bytes of it are in flight, so that thousands of idle
// connections need none.
#pragma once

#include <vector>

#include "kernel/unique_fd.h"

namespace gantry::relay {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
  explicit operator bool() const { return read.valid(); }
};

class PipePool {
 public:
  // An empty pipe; invalid, and errno, when there is none to be had.
  Pipe take();
  // Gives back a pipe, which must be empty.
  void give(Pipe pipe);

 private:
  static constexpr size_t kMaxIdle = 32;
  std::vector<Pipe> idle_;
};

}  // namespace gantry::relay
