#include "relay/confine.h"

#include <linux/capability.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#ifndef GANTRY_SANITIZED
#define GANTRY_SANITIZED 0
#endif

namespace gantry::relay {
namespace {

constexpr rlim_t kWantedDescriptors = 1 << 20;
constexpr int kAllowed[] = {
    SCMP_SYS(epoll_wait),  SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl),   SCMP_SYS(socket),      SCMP_SYS(bind),
    SCMP_SYS(listen),      SCMP_SYS(accept4),     SCMP_SYS(connect),     SCMP_SYS(shutdown),    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockopt),  SCMP_SYS(getpeername), SCMP_SYS(recvmsg),     SCMP_SYS(sendmsg),     SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),      SCMP_SYS(splice),      SCMP_SYS(pipe2),       SCMP_SYS(close),       SCMP_SYS(prlimit64),
    SCMP_SYS(getrlimit),   SCMP_SYS(mmap),        SCMP_SYS(munmap),      SCMP_SYS(mremap),      SCMP_SYS(mprotect),
    SCMP_SYS(brk),         SCMP_SYS(madvise),     SCMP_SYS(futex),       SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction), SCMP_SYS(restart_syscall), SCMP_SYS(clock_gettime), SCMP_SYS(getpid), SCMP_SYS(gettid),
    SCMP_SYS(tgkill),      SCMP_SYS(write),       SCMP_SYS(exit),        SCMP_SYS(exit_group),
};

bool drop_capabilities() {
  constexpr uint32_t kKept = 1U << CAP_NET_BIND_SERVICE;
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
    // Without CAP_SETPCAP there is nothing to give up.
    if (capability != CAP_NET_BIND_SERVICE && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EPERM) return false;
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  data[0].effective = data[0].permitted = data[0].permitted & kKept;
  data[1] = {};
  data[0].inheritable = 0;
  return syscall(SYS_capset, &header, data) == 0;
}

bool filter_system_calls() {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (filter == nullptr) return false;
  bool ok = true;
  for (int call : kAllowed) ok = ok && seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0) == 0;
  ok = ok && seccomp_load(filter) == 0;
  seccomp_release(filter);
  return ok;
}

}  // namespace

void raise_descriptor_limit() {
  rlimit wanted{kWantedDescriptors, kWantedDescriptors};
  if (setrlimit(RLIMIT_NOFILE, &wanted) == 0) return;
  // Not allowed to raise the hard limit: then as far as it goes.
  if (getrlimit(RLIMIT_NOFILE, &wanted) != 0) return;
  wanted.rlim_cur = wanted.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &wanted);
}

bool confine() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !drop_capabilities()) return false;
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return false;
  // The sanitizers' runtime does more than it can name.
  return GANTRY_SANITIZED || filter_system_calls();
}

}  // namespace gantry::relay
