// Terminals of the container's own devpts.
#pragma once

#include <cstdint>

#include "kernel/failure.h"
#include "kernel/unique_fd.h"

namespace gantry::shim {

struct Terminal {
  UniqueFd master;
  UniqueFd slave;
};

// Allocates a terminal from /dev/pts inside `root`, which must be a devpts. The slave is opened through the master
// (TIOCGPTPEER), so no path of the container is believed. Allocates no memory.
bool open_terminal(int root, uint32_t rows, uint32_t columns, Terminal& terminal, Failure& failure);

// Sets the size of a terminal; 0 or negative errno.
int resize_terminal(int fd, uint32_t rows, uint32_t columns);

// Makes a terminal the controlling one of the caller, who leads a session.
int control_terminal(int slave);

}  // namespace gantry::shim
