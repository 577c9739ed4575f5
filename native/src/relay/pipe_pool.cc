#include "relay/pipe_pool.h"

#include <fcntl.h>

namespace gantry::relay {

Pipe PipePool::take() {
  if (!idle_.empty()) {
    Pipe pipe = std::move(idle_.back());
    idle_.pop_back();
    return pipe;
  }
  int fds[2];
  if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) return {};
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

void PipePool::give(Pipe pipe) {
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(pipe));
}

}  // namespace gantry::relay
