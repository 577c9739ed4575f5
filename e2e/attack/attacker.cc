// What a hostile program in a container tries, each as a subcommand; run by scenarios/security.test.ts. Built
// statically, so that it runs in any image.
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

void show(const char* name, long result) {
  std::printf("%s %s\n", name, result >= 0 ? "ALLOWED" : strerrorname_np(errno));
}

// socket(2) by the 32-bit way in, which a filter that only knows the 64-bit calls does not see.
long socketcall_32(unsigned family) {
#if defined(__x86_64__)
  auto* memory = static_cast<uint32_t*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
  memory[0] = family;
  memory[1] = SOCK_SEQPACKET;
  memory[2] = 0;
  long result;
  asm volatile("int $0x80" : "=a"(result) : "a"(102), "b"(1), "c"(memory) : "memory", "r8", "r9", "r10", "r11");
  result = static_cast<int32_t>(result);
  if (result >= 0) return result;
  errno = static_cast<int>(-result);
  return -1;
#else
  (void)family;
  errno = ENOSYS;
  return -1;
#endif
}

// A kernel without 32-bit calls kills who makes one: that is a refusal, too.
void show_32(const char* name, unsigned family) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    show(name, socketcall_32(family));
    std::fflush(stdout);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) std::printf("%s %s\n", name, WTERMSIG(status) == SIGSEGV ? "ENOSYS" : "KILLED");
}

int families() {
  show("socket(AF_ALG)", socket(AF_ALG, SOCK_SEQPACKET, 0));
  show("socket(AF_VSOCK)", socket(AF_VSOCK, SOCK_STREAM, 0));
  // The upper half of the register is not looked at by the kernel.
  show("socket(AF_ALG|high)", syscall(SYS_socket, 0x100000000UL | AF_ALG, SOCK_SEQPACKET, 0));
  show_32("socketcall(AF_ALG)", AF_ALG);
  show_32("socketcall(AF_VSOCK)", AF_VSOCK);
  return 0;
}

int calls() {
  char page[4096] = {};
  show("io_uring_setup", syscall(SYS_io_uring_setup, 4, page));
  show("keyctl", syscall(SYS_keyctl, 0, -3, 1));
  show("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -3));
  show("request_key", syscall(SYS_request_key, "user", "x", nullptr, -3));
  show("userfaultfd", syscall(SYS_userfaultfd, 0));
  show("bpf", syscall(SYS_bpf, 0, page, sizeof(union bpf_attr)));
  show("perf_event_open", syscall(SYS_perf_event_open, page, 0, -1, -1, 0));
  show("mount", mount("none", "/tmp", "tmpfs", 0, nullptr));
  show("umount2", umount2("/proc/kcore", MNT_DETACH));
  show("pivot_root", syscall(SYS_pivot_root, "/", "/tmp"));
  show("unshare(user)", syscall(SYS_unshare, CLONE_NEWUSER));
  show("clone(user)", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  show("clone3", syscall(SYS_clone3, page, 64));
  show("setns", syscall(SYS_setns, 0, CLONE_NEWNS));
  show("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, page, O_RDONLY));
  show("kexec_load", syscall(SYS_kexec_load, 0, 0, nullptr, 0));
  show("init_module", syscall(SYS_init_module, page, 0, ""));
  show("delete_module", syscall(SYS_delete_module, "x", 0));
  show("reboot", syscall(SYS_reboot, 0, 0, 0, nullptr));
  show("swapon", syscall(SYS_swapon, "/tmp/x", 0));
  show("sethostname", syscall(SYS_sethostname, "x", 1));
  show("settimeofday", syscall(SYS_settimeofday, page, nullptr));
  show("syslog", syscall(SYS_syslog, 3, page, sizeof(page)));
  show("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
  show("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
  show("move_mount", syscall(SYS_move_mount, 0, "", 0, "", 0));
  show("mount_setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, page, 32));
  show("personality(ADDR_NO_RANDOMIZE)", syscall(SYS_personality, 0x0040000));
  show("quotactl", syscall(SYS_quotactl, 0, nullptr, 0, nullptr));
  show("acct", syscall(SYS_acct, nullptr));
  return 0;
}

// Puts two names in each other's place until it is killed.
int swap(const char* one, const char* other) {
  std::puts("swapping");
  std::fflush(stdout);
  for (;;) renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE);
}

// Opens for writing the executable of every process that shows up.
int overwrite() {
  std::puts("hunting");
  std::fflush(stdout);
  for (;;) {
    for (int pid = 1; pid < 400; ++pid) {
      char path[64];
      char target[4096];
      std::snprintf(path, sizeof(path), "/proc/%d/exe", pid);
      const ssize_t length = readlink(path, target, sizeof(target) - 1);
      if (length <= 0) continue;
      target[length] = '\0';
      // Programs of the container itself may be written by it.
      if (std::strncmp(target, "/bin/", 5) == 0 || std::strncmp(target, "/attacker", 9) == 0) continue;
      const int reading = open(path, O_RDONLY | O_CLOEXEC);
      const int fd = open(path, O_WRONLY | O_CLOEXEC);
      std::printf("%s %s: %s\n", fd >= 0 ? "WRITABLE" : "refused", target, fd >= 0 ? "" : strerrorname_np(errno));
      std::fflush(stdout);
      if (reading >= 0) {
        char again[64];
        std::snprintf(again, sizeof(again), "/proc/self/fd/%d", reading);
        const int second = open(again, O_WRONLY | O_CLOEXEC);
        if (second >= 0) std::printf("WRITABLE by descriptor %s\n", target), std::fflush(stdout);
      }
    }
  }
}

// Types into the terminal as if its user had.
int inject() {
  const int terminal = open("/dev/tty", O_RDWR);
  const char* line = "touch /tmp/injected\n";
  long result = terminal;
  for (const char* at = line; terminal >= 0 && *at != '\0' && result >= 0; ++at) result = ioctl(terminal, TIOCSTI, at);
  show("TIOCSTI", result);
  return 0;
}

// The serial number of the session keyring, as /proc/keys writes it.
int keyring() {
  const long serial = syscall(SYS_keyctl, 0, -3, 0);
  std::printf("%08lx\n", serial);
  return serial >= 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
  const char* what = count > 1 ? words[1] : "";
  if (std::strcmp(what, "families") == 0) return families();
  if (std::strcmp(what, "calls") == 0) return calls();
  if (std::strcmp(what, "swap") == 0 && count == 4) return swap(words[2], words[3]);
  if (std::strcmp(what, "overwrite") == 0) return overwrite();
  if (std::strcmp(what, "inject") == 0) return inject();
  if (std::strcmp(what, "uid") == 0) return std::printf("%u\n", geteuid()) < 0;
  if (std::strcmp(what, "keyring") == 0) return keyring();
  return 2;
}
