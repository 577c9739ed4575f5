// The connection that brings the archive, where descriptor 0 is a socket that listens for it.
#pragma once

namespace gantry::unpack {

// Waits for a connection that begins with the 32 bytes of GANTRY_TICKET (64 hex digits) and puts it in the place of the
// listening socket. Others are closed. Throws Failure when nobody comes, or when nobody is left to read the report.
void accept_caller(int listener_fd, int watch_fd);

}  // namespace gantry::unpack
