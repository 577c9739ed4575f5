// The connection that brings or gets the archive, where descriptor 0 is a socket that listens for it.
#pragma once

namespace gantry::unpack {

// Waits for a connection that begins with the 32 bytes of GANTRY_TICKET (64 hex digits) and makes it
// caller_fd; the listening socket is closed. Other connections are closed, too. Throws Failure when nobody comes, or when nobody is left to read the report.
void accept_caller(int listener_fd, int watch_fd, int caller_fd);

}  // namespace gantry::unpack
