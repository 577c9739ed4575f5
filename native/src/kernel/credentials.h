// Who a process is and what it may do: capabilities, IDs, no_new_privs, seccomp. Nothing here allocates; results are 0
// or negative errno.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace gantry {

// The five sets, bit n = capability n.
struct Capabilities {
  uint64_t bounding = 0;
  uint64_t effective = 0;
  uint64_t permitted = 0;
  uint64_t inheritable = 0;
  uint64_t ambient = 0;
};

// Drops every capability that is not in `kept` from the bounding set.
int limit_bounding(uint64_t kept);

// Sets the effective, permitted and inheritable sets, and then the ambient one. Ambient capabilities that the
// permitted or inheritable set lacks are left out, as the kernel would refuse them.
int set_capabilities(const Capabilities& sets);

// Keeps permitted capabilities over the change of user IDs, or no longer.
int keep_capabilities(bool keep);

// Sets supplementary groups, group and user, in this order.
int become(uid_t uid, gid_t gid, const gid_t* groups, size_t group_count);

// Sets no_new_privs.
int refuse_new_privileges();

// Loads a seccomp program (instructions of struct sock_filter). Needs CAP_SYS_ADMIN or no_new_privs.
int load_seccomp(const void* program, size_t bytes, unsigned flags);

}  // namespace gantry
