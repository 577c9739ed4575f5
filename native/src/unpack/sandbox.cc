#include "unpack/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <initializer_list>

#include "unpack/failure.h"

#ifndef GANTRY_SANITIZED
#define GANTRY_SANITIZED 0
#endif

namespace gantry::unpack {
namespace {

constexpr bool kSanitized = GANTRY_SANITIZED;
constexpr rlim_t kMaxMemory = 512 << 20;
// A tree is walked with one open directory per level: the walk ends with EMFILE before the stack does.
// (Sanitizers make its frames several times as large.)
constexpr rlim_t kMaxOpenFiles = kSanitized ? 1024 : 4096;

[[noreturn]] void fail_step(const char* what) {
  int error = errno;
  fail_errno("sandbox", what, error);
}

// Descriptors from kExtraFd on that are no directories.
unsigned before_lowers(const Options& options) {
  if (options.blocks) return 1 + 2 * *options.blocks;
  return options.mount_namespace || options.await_lowers ? 1 : 0;
}

bool writes(Mode mode) { return mode == Mode::kUnpack || mode == Mode::kApply; }

void check_descriptors(const Options& options) {
  struct stat st;
  if (fcntl(kReportFd, F_GETFD) < 0) fail_step("report descriptor");
  if (fstat(kRootFd, &st) != 0) fail_step("root descriptor");
  if (!S_ISDIR(st.st_mode)) fail_errno("sandbox", "root descriptor", ENOTDIR);
  unsigned extra = before_lowers(options) + options.lowers;
  if (close_range(kExtraFd + extra, ~0U, 0) != 0) fail_step("close_range");
  // What a library might print goes where errors go, and not into the stream of another mode.
  if (options.mode != Mode::kPack) (void)dup2(STDERR_FILENO, kOutputFd);
}

int open_tree_clone(int directory, const char* path, bool recursive) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  return static_cast<int>(syscall(SYS_open_tree, directory, path, flags));
}

// Nothing on the mount can be run, opened as a device, or gain privilege through set-id bits, whatever ends up there.
void confine_mount(int mount, bool read_only, bool recursive) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | (read_only ? MOUNT_ATTR_RDONLY : 0);
  attributes.propagation = MS_PRIVATE;
  unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  if (syscall(SYS_mount_setattr, mount, "", flags, &attributes, sizeof attributes) != 0) fail_step("mount_setattr");
}

// Namespaces of our own. What is mounted and unmounted in them is seen nowhere else.
void leave_namespaces() {
  if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0) fail_step("unshare");
  mount_attr attributes{};
  attributes.propagation = MS_PRIVATE;
  if (syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attributes, sizeof attributes) != 0)
    fail_step("private mounts");
}

// Mounts may lie on top of each other. A container may have taken them off itself (EINVAL), and their directory (ENOENT,
// ENOTDIR), but what it put there instead is its own.
void hide_mounts(const std::string& path) {
  while (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  if (errno != EINVAL && errno != ENOENT && errno != ENOTDIR) fail_step("hide");
}

// A mount of what is to be worked on, still to be attached to the namespaces of our own that we are in afterwards.
UniqueFd open_root_mount(const Options& options) {
  UniqueFd mount;
  if (options.mount_namespace) {
    // From here on "/" is the root of that namespace, and then of our copy of it.
    if (setns(kExtraFd, CLONE_NEWNS) != 0) fail_step("setns");
    leave_namespaces();
    for (const std::string& path : options.hidden) hide_mounts(path);
    mount.reset(open_tree_clone(AT_FDCWD, "/", options.with_mounts));
    if (!mount) fail_step("open_tree");
    return mount;
  }
  mount.reset(open_tree_clone(kRootFd, "", options.with_mounts));
  // The root of a detached mount already is taken as it is.
  if (!mount && errno == EINVAL) mount.reset(fcntl(kRootFd, F_DUPFD_CLOEXEC, kExtraFd));
  if (!mount) fail_step("open_tree");
  leave_namespaces();
  return mount;
}

std::vector<UniqueFd> open_lowers(const Options& options) {
  std::vector<UniqueFd> lowers;
  for (unsigned i = 0; i < options.lowers; i++) {
    UniqueFd mount(open_tree_clone(kExtraFd + static_cast<int>(before_lowers(options) + i), "", false));
    if (!mount) fail_step("open_tree of a lower directory");
    confine_mount(mount.get(), true, false);
    lowers.push_back(std::move(mount));
  }
  return lowers;
}

void become_root(int mount) {
  if (syscall(SYS_move_mount, mount, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0) fail_step("move_mount");
  if (fchdir(mount) != 0) fail_step("fchdir");
  // The old root ends up on top of the new one, and is taken off: pivot_root(2), "pivot_root(".", ".")".
  if (syscall(SYS_pivot_root, ".", ".") != 0) fail_step("pivot_root");
  if (umount2(".", MNT_DETACH) != 0) fail_step("umount");
  if (chdir("/") != 0) fail_step("chdir");
}

// A limit that is lower already stays: not everybody may raise it, setrlimit(2).
void limit(decltype(RLIMIT_CORE) resource, rlim_t most) {
  rlimit held{};
  if (getrlimit(resource, &held) != 0) fail_step("getrlimit");
  const rlim_t value = std::min(most, held.rlim_max);
  const rlimit wanted{value, value};
  if (setrlimit(resource, &wanted) != 0) fail_step("setrlimit");
}

void limit_resources() {
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NOFILE, kMaxOpenFiles);
  if (!kSanitized) limit(RLIMIT_AS, kMaxMemory);
}

uint64_t needed_capabilities(const Options& options) {
  auto bit = [](int capability) { return uint64_t{1} << capability; };
  // trusted.* attributes are hidden from whoever has no CAP_SYS_ADMIN; with it, what it could be used for is shut
  // by the system call filter.
  bool trusted = options.mode == Mode::kUnpack || options.mode == Mode::kChanges || options.overlay_upper;
  uint64_t wanted = trusted ? bit(CAP_SYS_ADMIN) : 0;
  if (!writes(options.mode)) return wanted | bit(CAP_DAC_READ_SEARCH);
  return wanted | bit(CAP_CHOWN) | bit(CAP_DAC_OVERRIDE) | bit(CAP_FOWNER) | bit(CAP_FSETID) | bit(CAP_MKNOD) |
         bit(CAP_SETFCAP);
}

void drop_capabilities(uint64_t kept) {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
    if (!(kept >> capability & 1) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) fail_step("capability bounding set");
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) fail_step("ambient capabilities");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int i = 0; i < 2; i++) data[i].effective = data[i].permitted = static_cast<uint32_t>(kept >> (32 * i));
  if (syscall(SYS_capset, &header, data) != 0) fail_step("capset");
}

using Filter = scmp_filter_ctx;

void allow(Filter filter, std::initializer_list<int> calls) {
  for (int call : calls) {
    int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
    if (result != 0) fail_errno("sandbox", "seccomp rule", -result);
  }
}

// Memory may be had, but never to run.
void allow_without_exec(Filter filter, int call) {
  int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, 4 /* PROT_EXEC */, 0));
  if (result != 0) fail_errno("sandbox", "seccomp rule", -result);
}

void add_rules(Filter filter, const Options& options) {
  allow(filter, {SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
                 SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(lseek), SCMP_SYS(getdents64), SCMP_SYS(readlinkat),
                 SCMP_SYS(fchdir), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(fcntl), SCMP_SYS(futex),
                 SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(rt_sigprocmask),
                 SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(sched_yield), SCMP_SYS(getpid),
                 SCMP_SYS(gettid), SCMP_SYS(tgkill), SCMP_SYS(exit), SCMP_SYS(exit_group)});
  allow_without_exec(filter, SCMP_SYS(mmap));
  allow_without_exec(filter, SCMP_SYS(mprotect));
  if (writes(options.mode)) {
    allow(filter, {SCMP_SYS(pwrite64), SCMP_SYS(mkdirat), SCMP_SYS(mknodat), SCMP_SYS(linkat), SCMP_SYS(symlinkat),
                   SCMP_SYS(unlinkat), SCMP_SYS(fchown), SCMP_SYS(fchownat), SCMP_SYS(fchmod), SCMP_SYS(fchmodat),
                   SCMP_SYS(utimensat), SCMP_SYS(ftruncate), SCMP_SYS(fsetxattr), SCMP_SYS(lsetxattr), SCMP_SYS(syncfs)});
  } else {
    allow(filter, {SCMP_SYS(fadvise64), SCMP_SYS(fgetxattr), SCMP_SYS(lgetxattr), SCMP_SYS(flistxattr), SCMP_SYS(llistxattr)});
  }
  if (options.mode == Mode::kPack) allow(filter, {SCMP_SYS(sync_file_range)});
  if (options.blocks) allow(filter, {SCMP_SYS(pread64)});
  if (kSanitized) {
    // What the sanitizers' runtime does when it reports.
    allow(filter, {SCMP_SYS(sigaltstack), SCMP_SYS(rt_sigaction), SCMP_SYS(prctl), SCMP_SYS(readlink), SCMP_SYS(getrlimit),
                   SCMP_SYS(prlimit64), SCMP_SYS(clock_gettime), SCMP_SYS(getrandom), SCMP_SYS(sched_getaffinity)});
  }
}

}  // namespace

Sandbox enter_sandbox(const Options& options) {
  bool recursive = options.with_mounts;
  check_descriptors(options);
  umask(0);
  std::vector<UniqueFd> lowers = open_lowers(options);
  UniqueFd mount = open_root_mount(options);
  confine_mount(mount.get(), !writes(options.mode), recursive);
  become_root(mount.get());
  mount.reset();
  if (close_range(kRootFd, kRootFd, 0) != 0) fail_step("close_range");
  unsigned first = kExtraFd + (options.mount_namespace ? 0 : before_lowers(options));
  unsigned end = kExtraFd + before_lowers(options) + options.lowers;
  // The originals; the views made above have higher numbers.
  if (first < end && close_range(first, end - 1, 0) != 0) fail_step("close_range");
  UniqueFd root(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) fail_step("open root");

  limit_resources();
  if (setgroups(0, nullptr) != 0) fail_step("setgroups");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail_step("no_new_privs");
  drop_capabilities(needed_capabilities(options));
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) fail_step("dumpable");
  return Sandbox{std::move(root), std::move(lowers)};
}

void lock_system_calls(const Options& options) {
  Filter filter = seccomp_init(kSanitized ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_KILL_PROCESS);
  if (filter == nullptr) fail_errno("sandbox", "seccomp", ENOMEM);
  seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
  add_rules(filter, options);
  int result = seccomp_load(filter);
  if (result != 0) fail_errno("sandbox", "seccomp load", -result);
  seccomp_release(filter);
}

}  // namespace gantry::unpack
