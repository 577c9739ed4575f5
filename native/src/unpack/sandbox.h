// The walls between hostile input and the host. Built before the first byte of input is read.
#pragma once

#include <vector>

#include "kernel/unique_fd.h"
#include "unpack/options.h"

namespace gantry::unpack {

struct Sandbox {
  UniqueFd root;               // the directory we were given, which is now "/"
  std::vector<UniqueFd> lowers;  // read-only views of the lower layers' directories, nothing above them reachable
};

// Makes the given directory the root of a mount namespace with nothing else in it, in network, IPC and UTS
// namespaces of our own, keeps only the capabilities that the mode needs, and closes every descriptor that is not
// part of the contract. Call with one thread. Throws with step "sandbox".
Sandbox enter_sandbox(const Options& options);

// The last wall: a filter of system calls on all threads. No thread, process, socket, mount or program can be made
// after it. Throws with step "sandbox".
void lock_system_calls(const Options& options);

}  // namespace gantry::unpack
