// The per-container shim process. It is started with
//
//   3  sealed memfd with one LaunchPlan        5  listening io.sock
//   4  listening shim.sock                     6  first control connection
//
// and ends when the container's end is on disk and told. See proto/gantry/shim/v1/process.proto.
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "kernel/unique_fd.h"
#include "shim/plan.h"
#include "shim/shim.h"

namespace gantry::shim {
namespace {

constexpr int kPlanFd = 3;
constexpr int kControlFd = 4;
constexpr int kStreamFd = 5;
constexpr int kConnectionFd = 6;
// A plan is some ten kilobytes; mounts and environments have limits of their own.
constexpr off_t kPlanBytesMax = 16 << 20;

[[noreturn]] void die(const char* what, int error) {
  std::fprintf(stderr, "gantry-shim: %s: %s\n", what, error_text(error));
  _exit(1);
}

// Nothing is inherited but what the protocol names, and nothing is passed on by accident.
void own_descriptors() {
  for (int fd = 0; fd < 3; ++fd) {
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) die("stdio", errno);
  }
  for (int fd = kPlanFd; fd <= kConnectionFd; ++fd) {
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) die("descriptor", errno);
  }
  if (close_range(kConnectionFd + 1, ~0U, 0) != 0) die("close_range", errno);
}

// All signals wait: children are heard of by signalfd, a broken pipe is an errno, and what is meant for services (the
// SIGTERM of an orderly stop) does not end a container.
void own_signals() {
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction fresh = {};
    fresh.sa_handler = SIG_DFL;
    sigaction(signal, &fresh, nullptr);
  }
  sigset_t all;
  sigfillset(&all);
  if (sigprocmask(SIG_SETMASK, &all, nullptr) != 0) die("sigprocmask", errno);
}

int read_oom_score() {
  const UniqueFd file(open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC));
  char text[16] = {};
  if (!file || read(file.get(), text, sizeof(text) - 1) <= 0) return 0;
  return std::atoi(text);
}

void protect(Inherited& limits) {
  limits.oom_score = read_oom_score();
  if (getrlimit(RLIMIT_NOFILE, &limits.files) != 0) die("rlimit", errno);
  setsid();
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) die("subreaper", errno);
  // Nobody in a container may look into this process or into what enters it.
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) die("dumpable", errno);
  // A session keyring of the container's own, instead of the one of whoever started us. Kernels without keys have none.
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0 && errno != ENOSYS && errno != EPERM) {
    die("keyring", errno);
  }
  const UniqueFd score(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  // Allowed with CAP_SYS_RESOURCE only; without it we are killed like others.
  if (score && write(score.get(), "-999", 4) != 4 && errno != EACCES) die("oom_score_adj", errno);
}

std::string read_plan() {
  struct stat info;
  if (fstat(kPlanFd, &info) != 0) die("plan", errno);
  if (info.st_size > kPlanBytesMax) die("plan", EFBIG);
  std::string bytes(static_cast<size_t>(info.st_size), '\0');
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t length = pread(kPlanFd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (length <= 0) die("plan", length == 0 ? EIO : errno);
    done += static_cast<size_t>(length);
  }
  close(kPlanFd);
  return bytes;
}

std::unique_ptr<LaunchPlan> decode_plan() {
  auto plan = std::make_unique<LaunchPlan>();
  if (!decode(read_plan(), *plan)) return nullptr;
  return plan;
}

int refuse_plan(int connection, const char* text) {
  Failure failure = {};
  failure.say("plan", EINVAL, "%s", text);
  const std::string message = encode_start_failed(failure);
  const auto length = static_cast<uint32_t>(message.size());
  std::string frame;
  for (int i = 0; i < 4; ++i) frame += static_cast<char>(length >> (8 * i));
  frame += message;
  if (write(connection, frame.data(), frame.size()) < 0) die(text, errno);
  return 1;
}

// The brain's word that it has written down who we are. False when it went away before.
bool await_begin(int connection) {
  char frame[4];
  for (size_t done = 0; done < sizeof(frame);) {
    const ssize_t length = read(connection, frame + done, sizeof(frame) - done);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) return false;
    done += static_cast<size_t>(length);
  }
  constexpr char kEmpty[sizeof(frame)] = {};
  return std::memcmp(frame, kEmpty, sizeof(frame)) == 0;
}

int run() {
  own_descriptors();
  own_signals();
  Inheritance inheritance;
  protect(inheritance.limits);
  std::unique_ptr<LaunchPlan> plan = decode_plan();
  if (!plan) return refuse_plan(kConnectionFd, "the launch plan is malformed or has a field that is not known");
  if (plan->protocol_version != kProtocolVersion) return refuse_plan(kConnectionFd, "this process speaks version 1 only");
  // Not by way of a Shim: at its end it would take away sockets that belong to a later one by now.
  if (plan->await_begin && !await_begin(kConnectionFd)) return 1;
  inheritance.control_listener.reset(kControlFd);
  inheritance.stream_listener.reset(kStreamFd);
  inheritance.first_connection.reset(kConnectionFd);
  const auto shim = std::make_unique<Shim>(std::move(plan), std::move(inheritance));
  // Taking the objects apart one by one would be work for nothing.
  _exit(shim->run());
}

}  // namespace
}  // namespace gantry::shim

#ifdef GANTRY_SANITIZED
// A process that nobody may look into cannot be searched for leaks by a tracer of its own.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }
#endif

int main() { return gantry::shim::run(); }
