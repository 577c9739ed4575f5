// Reading what has a size that only the kernel knows.
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <string>
#include <vector>

#include "kernel/syscall_error.h"

namespace gantry {

// Calls `read` with growing buffers until the value fits; it may grow between two calls.
template <typename Read>
std::vector<char> read_growing(const char* call, const std::string& path, Read read) {
  std::vector<char> buffer(256);
  for (;;) {
    const ssize_t length = read(buffer.data(), buffer.size());
    if (length >= 0) {
      buffer.resize(static_cast<size_t>(length));
      return buffer;
    }
    if (errno != ERANGE) throw_errno(call, path);
    buffer.resize(buffer.size() * 4);
  }
}

}  // namespace gantry
