// From a seccomp profile to the program that seccomp(2) loads, by libseccomp.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <string>
#include <vector>

namespace gantry {

// One comparison of a system call's argument; `op` is a number of enum scmp_compare.
struct SeccompCondition {
  unsigned index;
  int op;
  uint64_t value;
  // Only for a masked comparison: `value` is the mask, this the datum.
  uint64_t value_two;
};

// What happens to some system calls; `action` is a SECCOMP_RET_* value with its errno. All conditions must hold, but
// conditions on one and the same argument are alternatives (the runtime-spec leaves this open; runc reads it so).
struct SeccompRule {
  uint32_t action;
  std::vector<std::string> names;
  std::vector<SeccompCondition> conditions;
};

struct SeccompProfile {
  uint32_t default_action;
  // Further architectures as libseccomp names them (`x86`, `x32`); the native one is always there.
  std::vector<std::string> architectures;
  // In order. Names that this libseccomp does not know are passed over.
  std::vector<SeccompRule> rules;
  // Refuse socketcall(SYS_SOCKET) on i386 with the default action: its address family lies behind a pointer, so a
  // condition on socket(2) cannot hold there, and libseccomp would let all of it through.
  bool refuse_socketcall_socket;
};

// Compiles a profile, optimised as a binary tree. Where the default action refuses, system calls beyond the highest
// number that the profile names answer ENOSYS instead: a C library then falls back, as on an older kernel.
std::vector<sock_filter> compile_seccomp(const SeccompProfile& profile);

// Version of libseccomp, part of the key under which a program may be cached.
std::string seccomp_version();

}  // namespace gantry
