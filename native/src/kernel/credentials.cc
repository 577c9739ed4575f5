#include "kernel/credentials.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace gantry {
namespace {

int result(long value) { return value < 0 ? -errno : 0; }

}  // namespace

int limit_bounding(uint64_t kept) {
  for (unsigned long capability = 0; capability < 64; ++capability) {
    if ((kept >> capability & 1) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    // EINVAL ends the list of what this kernel knows.
    return errno == EINVAL ? 0 : -errno;
  }
  return 0;
}

int set_capabilities(const Capabilities& sets) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (unsigned i = 0; i < 2; ++i) {
    data[i].effective = static_cast<uint32_t>(sets.effective >> (32 * i));
    data[i].permitted = static_cast<uint32_t>(sets.permitted >> (32 * i));
    data[i].inheritable = static_cast<uint32_t>(sets.inheritable >> (32 * i));
  }
  if (syscall(SYS_capset, &header, data) < 0) return -errno;
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return -errno;
  const uint64_t ambient = sets.ambient & sets.permitted & sets.inheritable;
  for (unsigned long capability = 0; capability < 64; ++capability) {
    if ((ambient >> capability & 1) == 0) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0) return -errno;
  }
  return 0;
}

int keep_capabilities(bool keep) { return result(prctl(PR_SET_KEEPCAPS, keep ? 1UL : 0UL, 0, 0, 0)); }

int become(uid_t uid, gid_t gid, const gid_t* groups, size_t group_count) {
  // The raw calls: the C library's would signal other threads, which there are none of.
  if (syscall(SYS_setgroups, group_count, groups) < 0) return -errno;
  if (syscall(SYS_setresgid, gid, gid, gid) < 0) return -errno;
  return result(syscall(SYS_setresuid, uid, uid, uid));
}

int refuse_new_privileges() { return result(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }

int load_seccomp(const void* program, size_t bytes, unsigned flags) {
  sock_fprog filter = {};
  filter.len = static_cast<unsigned short>(bytes / sizeof(sock_filter));
  filter.filter = static_cast<sock_filter*>(const_cast<void*>(program));
  return result(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter));
}

}  // namespace gantry
