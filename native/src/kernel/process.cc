#include "kernel/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <string_view>

#include "kernel/syscall_error.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

namespace gantry {
namespace {

constexpr size_t kChildStackBytes = 32 * 1024;

// Steps of the child, reported through shared memory.
enum class ChildStep : int { kNone, kSetMask, kChdir, kCloseRange, kOpenNull, kDup, kExec };

const char* step_name(ChildStep step) {
  switch (step) {
    case ChildStep::kNone: return "clone";
    case ChildStep::kSetMask: return "sigprocmask";
    case ChildStep::kChdir: return "chdir";
    case ChildStep::kCloseRange: return "close_range";
    case ChildStep::kOpenNull: return "open";
    case ChildStep::kDup: return "dup2";
    case ChildStep::kExec: return "execve";
  }
  return "clone";
}

// Everything the child touches, prepared by the parent: the child shares its memory, so it may neither allocate nor
// throw, and only makes system calls.
struct ChildPlan {
  const char* executable;
  char* const* argv;
  char* const* envp;
  const FdMapping* fds;
  size_t fd_count;
  const char* cwd;
  // Signals that this process ignores, which no exec and no CLONE_CLEAR_SIGHAND undoes.
  const sigset_t* ignored;
  // Whether the clone has put caught signals back to their defaults.
  bool handlers_are_clear;
  // Out: where and why it failed.
  ChildStep failed_step;
  int failed_errno;
};

// Sanitizers keep locks and shadow memory that the child shares with the parent: it must not touch them.
#define GANTRY_IN_CHILD __attribute__((no_sanitize("address"))) __attribute__((no_sanitize("undefined")))

[[noreturn]] GANTRY_IN_CHILD void fail(ChildPlan* plan, ChildStep step) {
  plan->failed_step = step;
  plan->failed_errno = errno;
  for (;;) syscall(SYS_exit_group, 127);
}

GANTRY_IN_CHILD void to_default(int signal) {
  struct sigaction fresh = {};
  fresh.sa_handler = SIG_DFL;
  sigaction(signal, &fresh, nullptr);
}

// No handler of ours may run in the child, so signals go back to their defaults before the mask is lifted. Without
// CLONE_SIGHAND the table is the child's own copy.
GANTRY_IN_CHILD void reset_signals(ChildPlan* plan) {
  if (plan->handlers_are_clear) {
    for (int signal = 1; signal < NSIG; ++signal) {
      if (sigismember(plan->ignored, signal) == 1) to_default(signal);
    }
  } else {
    for (int signal = 1; signal < NSIG; ++signal) to_default(signal);
  }
  sigset_t none;
  sigemptyset(&none);
  if (sigprocmask(SIG_SETMASK, &none, nullptr) != 0) fail(plan, ChildStep::kSetMask);
}

GANTRY_IN_CHILD bool is_mapped(const ChildPlan* plan, int fd) {
  for (size_t i = 0; i < plan->fd_count; ++i) {
    if (plan->fds[i].child_fd == fd) return true;
  }
  return false;
}

GANTRY_IN_CHILD void place_descriptors(ChildPlan* plan) {
  // Also what we were born with ourselves and never marked; dup2 below lifts the mark from what is to be kept.
  if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0) fail(plan, ChildStep::kCloseRange);
  for (int fd = 0; fd <= 2; ++fd) {
    if (is_mapped(plan, fd)) continue;
    // The table is our own copy (no CLONE_FILES); whatever is at 0..2 is the parent's.
    int null_fd = open("/dev/null", O_RDWR);
    if (null_fd < 0) fail(plan, ChildStep::kOpenNull);
    if (null_fd == fd) continue;
    if (dup2(null_fd, fd) < 0) fail(plan, ChildStep::kDup);
    close(null_fd);
  }
  for (size_t i = 0; i < plan->fd_count; ++i) {
    // The parent moved every source above every target, so no dup2 hits a source that is still needed.
    if (dup2(plan->fds[i].parent_fd, plan->fds[i].child_fd) < 0) fail(plan, ChildStep::kDup);
  }
}

GANTRY_IN_CHILD int child_main(void* argument) {
  auto* plan = static_cast<ChildPlan*>(argument);
  reset_signals(plan);
  if (plan->cwd != nullptr && chdir(plan->cwd) != 0) fail(plan, ChildStep::kChdir);
  place_descriptors(plan);
  execve(plan->executable, plan->argv, plan->envp);
  fail(plan, ChildStep::kExec);
}

// clone3(2) whose child runs `entry(argument)` on its own stack and never comes back. glibc has no wrapper for it.
// The frame pointer is cleared last: without -fno-omit-frame-pointer either operand may be in its register.
long clone3_calling(clone_args* args, int (*entry)(void*), void* argument) {
#if defined(__x86_64__)
  long result;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "mov %[argument], %%rdi\n\t"
      "mov %[entry], %%rax\n\t"
      "xor %%ebp, %%ebp\n\t"
      "call *%%rax\n\t"
      "ud2\n"
      "1:"
      : "=a"(result)
      : "0"(static_cast<long>(SYS_clone3)), "D"(args), "S"(sizeof(*args)), [entry] "r"(entry), [argument] "r"(argument)
      : "rcx", "r11", "memory", "cc");
  return result;
#elif defined(__aarch64__)
  register long number asm("x8") = SYS_clone3;
  register long result asm("x0") = reinterpret_cast<long>(args);
  register long size asm("x1") = sizeof(*args);
  asm volatile(
      "svc #0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x0, %[argument]\n\t"
      "mov x1, %[entry]\n\t"
      "mov x29, xzr\n\t"
      "blr x1\n\t"
      "brk #0\n"
      "1:"
      : "+r"(result)
      : "r"(number), "r"(size), [entry] "r"(entry), [argument] "r"(argument)
      : "memory", "cc");
  return result;
#else
  return -ENOSYS;
#endif
}

// Signals that were ignored when we were first asked. Node sets handlers at any time, but ignores only at its start.
const sigset_t* ignored_signals() {
  static const sigset_t ignored = [] {
    sigset_t set;
    sigemptyset(&set);
    for (int signal = 1; signal < NSIG; ++signal) {
      struct sigaction current;
      if (sigaction(signal, nullptr, &current) == 0 && current.sa_handler == SIG_IGN) sigaddset(&set, signal);
    }
    return set;
  }();
  return &ignored;
}

// A private stack with a guard page below it.
class ChildStack {
 public:
  ChildStack() {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    size_ = kChildStackBytes + page;
    base_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (base_ == MAP_FAILED) throw_errno("mmap", {}, "child stack");
    mprotect(base_, page, PROT_NONE);
  }
  ChildStack(const ChildStack&) = delete;
  ChildStack& operator=(const ChildStack&) = delete;
  ~ChildStack() { munmap(base_, size_); }

  void* base() const { return base_; }
  size_t size() const { return size_; }
  void* top() const { return static_cast<char*>(base_) + size_; }

 private:
  void* base_;
  size_t size_;
};

// Blocks every signal of this thread while the child shares our memory.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

// The child's pid, or the negative errno.
pid_t clone_child(ChildPlan* plan, const ChildStack& stack, int* pidfd) {
  clone_args args = {};
  args.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  args.pidfd = reinterpret_cast<uint64_t>(pidfd);
  args.exit_signal = SIGCHLD;
  args.stack = reinterpret_cast<uint64_t>(stack.base());
  args.stack_size = stack.size();
  plan->handlers_are_clear = true;
  const long pid = clone3_calling(&args, child_main, plan);
  if (pid != -ENOSYS && pid != -EPERM) return static_cast<pid_t>(pid);
  // Seccomp filters around us may hide clone3, whose flags they cannot see.
  plan->handlers_are_clear = false;
  const pid_t fallback =
      clone(child_main, stack.top(), CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, plan, pidfd);
  return fallback < 0 ? -errno : fallback;
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (const auto& text : strings) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

int highest_target(const std::vector<FdMapping>& fds) {
  int highest = 2;
  for (const auto& mapping : fds) highest = std::max(highest, mapping.child_fd);
  return highest;
}

// A duplicate that no dup2 of the child hits.
UniqueFd lift(int fd, int highest) {
  UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, highest + 1));
  if (!copy) throw_errno("fcntl", std::to_string(fd), "duplicate descriptor");
  return copy;
}

// Duplicates of the sources, all numbered above the highest target.
std::vector<UniqueFd> lift_sources(const std::vector<FdMapping>& fds, int highest) {
  std::vector<UniqueFd> lifted;
  lifted.reserve(fds.size());
  for (const auto& mapping : fds) lifted.push_back(lift(mapping.parent_fd, highest));
  return lifted;
}

UniqueFd make_memfd(const char* name) {
  // MFD_EXEC is refused before 6.3, and needed later where vm.memfd_noexec is set.
  UniqueFd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC));
  if (!fd && errno == EINVAL) fd.reset(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) throw_errno("memfd_create", name);
  return fd;
}

}  // namespace

UniqueFd seal_executable(const std::string& path) {
  UniqueFd source(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source) throw_errno("open", path);
  struct stat status;
  if (fstat(source.get(), &status) != 0) throw_errno("fstat", path);
  UniqueFd sealed = make_memfd("gantry-program");
  for (off_t left = status.st_size; left > 0;) {
    const ssize_t copied = sendfile(sealed.get(), source.get(), nullptr, static_cast<size_t>(left));
    if (copied < 0) throw_errno("sendfile", path);
    if (copied == 0) throw SyscallError(EIO, "sendfile", path, "program was truncated while it was copied");
    left -= copied;
  }
  const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  if (fchmod(sealed.get(), 0500) != 0) throw_errno("fchmod", path);
  if (fcntl(sealed.get(), F_ADD_SEALS, seals) != 0) throw_errno("fcntl", path, "seal");
  return sealed;
}

LaunchedProcess launch(const LaunchRequest& request) {
  const int highest = highest_target(request.fds);
  const UniqueFd program = lift(request.executable_fd, highest);
  const std::string executable = "/proc/self/fd/" + std::to_string(program.get());
  const std::vector<UniqueFd> lifted = lift_sources(request.fds, highest);
  std::vector<FdMapping> fds(request.fds);
  for (size_t i = 0; i < fds.size(); ++i) fds[i].parent_fd = lifted[i].get();
  const std::vector<char*> argv = pointers(request.argv);
  const std::vector<char*> envp = pointers(request.env);
  ChildPlan plan{
      .executable = executable.c_str(),
      .argv = argv.data(),
      .envp = envp.data(),
      .fds = fds.data(),
      .fd_count = fds.size(),
      .cwd = request.cwd.empty() ? nullptr : request.cwd.c_str(),
      .ignored = ignored_signals(),
      .handlers_are_clear = false,
      .failed_step = ChildStep::kNone,
      .failed_errno = 0,
  };
  const ChildStack stack;
  const BlockedSignals blocked;
  int pidfd = -1;
  const pid_t pid = clone_child(&plan, stack, &pidfd);
  if (pid < 0) throw SyscallError(-pid, "clone3", {}, "launch");
  UniqueFd handle(pidfd);
  if (plan.failed_step != ChildStep::kNone) {
    siginfo_t ignored = {};
    waitid(P_PID, static_cast<id_t>(pid), &ignored, WEXITED);
    throw SyscallError(plan.failed_errno, step_name(plan.failed_step), {}, "launch");
  }
  return {pid, std::move(handle)};
}

UniqueFd pidfd_open(pid_t pid) {
  UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) throw_errno("pidfd_open", std::to_string(pid));
  return fd;
}

void pidfd_send_signal(int pidfd, int signal) {
  if (syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) != 0) throw_errno("pidfd_send_signal");
}

std::optional<ChildExit> reap(int pidfd) {
  siginfo_t info = {};
  if (waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG) != 0) {
    if (errno == ECHILD) return std::nullopt;
    throw_errno("waitid");
  }
  if (info.si_pid == 0) return std::nullopt;
  return ChildExit{info.si_code, info.si_status};
}

std::optional<uint64_t> process_start_ticks(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT) return std::nullopt;
    throw_errno("open", path);
  }
  std::array<char, 1024> buffer;
  const ssize_t length = read(fd.get(), buffer.data(), buffer.size());
  if (length < 0) {
    if (errno == ESRCH) return std::nullopt;
    throw_errno("read", path);
  }
  std::string_view text(buffer.data(), static_cast<size_t>(length));
  // The command name (field 2) may hold blanks and parentheses: what follows is counted from the last one.
  size_t at = text.rfind(')');
  for (int field = 2; at != std::string_view::npos && field < 22; ++field) at = text.find(' ', at + 1);
  if (at == std::string_view::npos) throw SyscallError(EINVAL, "read", path, "parse start time");
  const char state = text[text.rfind(')') + 2];
  if (state == 'Z' || state == 'X') return std::nullopt;
  uint64_t ticks = 0;
  std::from_chars(text.data() + at + 1, text.data() + text.size(), ticks);
  return ticks;
}

}  // namespace gantry
