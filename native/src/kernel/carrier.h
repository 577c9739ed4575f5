// The carrier of a network link, and when it is acted upon.
#pragma once

#include "kernel/unique_fd.h"

namespace gantry {

// A socket for settle_carrier: it reaches the links of the network namespace that it was made in, whoever uses it. Not
// valid on failure (errno).
UniqueFd open_link_control();

// The kernel acts upon a change of a link's carrier a moment later, from a work queue; only then does a bridge enable
// its port, and until then the port drops what it is sent. After this the link's last change has been acted upon:
// asking for the carrier does what is pending (ethtool_op_get_link, linkwatch_sync_dev). 0 or negative errno.
int settle_carrier(int control, const char* name);

}  // namespace gantry
