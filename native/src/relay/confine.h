// What the relay gives up once its control socket is open: it needs the network and nothing else.
#pragma once

namespace gantry::relay {

// As many descriptors as the system allows; each relayed connection takes up to six.
void raise_descriptor_limit();

// Keeps CAP_NET_BIND_SERVICE only, turns on no_new_privs, and allows the system calls of sockets, pipes and epoll:
// no file, process, mount or program from here on. False when a wall could not be put up.
bool confine();

}  // namespace gantry::relay
