#include "shim/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "kernel/in_root.h"
#include "kernel/mount.h"
#include "shim/exit_record.h"
#include "shim/lookup.h"
#include "shim/user.h"

namespace gantry::shim {
namespace {

// A null device that nobody else has. None in a user namespace, which can make no device.
UniqueFd make_null() {
  NewFilesystem filesystem;
  if (filesystem.open("tmpfs") < 0) return {};
  const UniqueFd folder(filesystem.create(0));
  if (!folder || mknodat(folder.get(), "null", S_IFCHR | 0666, makedev(1, 3)) != 0) return {};
  return UniqueFd(openat(folder.get(), "null", O_RDWR | O_NOCTTY | O_CLOEXEC));
}

class Becoming {
 public:
  Becoming(const ProcessContext& context, Failure& failure)
      : context_(context), plan_(context.plan), failure_(failure) {}

  void run();

 private:
  bool leave_shim_behind();
  bool set_limit(unsigned resource, const rlimit64& limit);
  bool limit();
  bool limit_files();
  bool enter_directory();
  bool check_directory();
  bool connect_streams();
  bool give_streams();
  bool label();
  bool name_home();
  bool take_user();
  bool filter();
  bool execute();
  bool directory_failed(int error);

  const ProcessContext& context_;
  const ProcessPlan& plan_;
  Failure& failure_;
  User user_;
  // Entering the directory needs the user's own rights (a network file system that refuses root).
  bool enter_as_user_ = false;
  char home_[sizeof(User::home) + 8] = {};
};

bool Becoming::set_limit(unsigned resource, const rlimit64& limit) {
  if (syscall(SYS_prlimit64, 0, resource, &limit, nullptr) == 0) return true;
  return failure_.say("rlimit", errno, "error setting rlimit type %u: %s", resource, error_text(errno));
}

// All but that of open files: the steps until the program starts open some, above descriptors that are in use.
bool Becoming::limit() {
  if (setrlimit(RLIMIT_NOFILE, &context_.inherited.files) != 0) return failure_.set("rlimit", errno, "nofile");
  for (const auto& wanted : plan_.rlimits) {
    if (wanted.resource != RLIMIT_NOFILE && !set_limit(wanted.resource, {wanted.soft, wanted.hard})) return false;
  }
  return true;
}

// While the capability to raise it is there, and before a seccomp filter could forbid it.
bool Becoming::limit_files() {
  for (const auto& wanted : plan_.rlimits) {
    if (wanted.resource == RLIMIT_NOFILE && !set_limit(wanted.resource, {wanted.soft, wanted.hard})) return false;
  }
  return true;
}

bool Becoming::directory_failed(int error) {
  const char* path = plan_.cwd.empty() ? "/" : plan_.cwd.c_str();
  failure_.say("chdir", error, "chdir to cwd (\"%s\") set in config.json failed: %s", path, error_text(error));
  return failure_.about(path);
}

bool Becoming::enter_directory() {
  const char* path = plan_.cwd.empty() ? "/" : plan_.cwd.c_str();
  if (path[0] != '/') return failure_.say("cwd", EINVAL, "Cwd must be an absolute path");
  // Magic links are refused on the way, so /proc/self/fd/N leads nowhere.
  const int opened = context_.make_cwd && !enter_as_user_ ? make_directory_in_root(context_.root, path)
                                                          : open_in_root(context_.root, path, O_PATH | O_DIRECTORY);
  const UniqueFd directory(opened < 0 ? -1 : opened);
  const int error = opened < 0 ? -opened : (fchdir(opened) != 0 ? errno : 0);
  if (error == 0) return check_directory();
  if ((error == EACCES || error == EPERM) && !enter_as_user_) {
    enter_as_user_ = true;
    return true;
  }
  return directory_failed(error);
}

bool Becoming::check_directory() {
  char path[PATH_MAX];
  // The system call itself: it tells an unreachable directory by a text that does not begin with a slash.
  if (syscall(SYS_getcwd, path, sizeof(path)) < 0) return directory_failed(errno);
  if (path[0] == '/') return true;
  return failure_.say("chdir", EACCES, "current working directory is outside of container mount namespace root");
}

bool Becoming::connect_streams() {
  int fds[3];
  for (int i = 0; i < 3; ++i) fds[i] = context_.slave >= 0 ? context_.slave : context_.streams.fds[i];
  UniqueFd null;
  if (fds[0] < 0) {
    // The container's own null device, so that /proc/self/fd/0 names something it has.
    const int own = open_in_root(context_.root, "/dev/null", O_PATH);
    const UniqueFd look(own < 0 ? -1 : own);
    if (own >= 0 && is_character_device(own, 1, 3)) {
      const int readable = open_in_root(context_.root, "/dev/null", O_RDONLY | O_NOCTTY | O_NONBLOCK);
      if (readable >= 0) null.reset(readable);
    }
    // The mode and owner of the host's device could be changed through a descriptor, where root is the host's.
    if (!null || !is_character_device(null.get(), 1, 3)) null = make_null();
    fds[0] = null ? null.get() : context_.host.null.get();
  }
  for (int i = 0; i < 3; ++i) {
    if (dup2(fds[i], i) < 0) return failure_.set("stdio", errno);
  }
  if (context_.slave < 0) return true;
  const int error = control_terminal(0);
  return error == 0 || failure_.set("terminal", -error, "control");
}

// Lets the user reopen its own streams (/dev/stdout).
bool Becoming::give_streams() {
  for (int fd = 0; fd < 3; ++fd) {
    struct stat info;
    if (fstat(fd, &info) != 0) return failure_.set("stdio", errno);
    if (info.st_uid == user_.uid || (S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3))) continue;
    // A user namespace that does not map the owner, or a read-only device: the stream works as it is.
    if (fchown(fd, user_.uid, static_cast<gid_t>(-1)) != 0 && errno != EINVAL && errno != EPERM && errno != EROFS) {
      return failure_.set("stdio", errno);
    }
  }
  return true;
}

bool Becoming::label() {
  if (!plan_.apparmor_profile.empty()) {
    // As much as the kernel takes; a name that is cut could be another profile's.
    char text[4096];
    const int length = std::snprintf(text, sizeof(text), "exec %s", plan_.apparmor_profile.c_str());
    if (length >= static_cast<int>(sizeof(text))) return failure_.set("apparmor", ENAMETOOLONG, plan_.apparmor_profile);
    int error = context_.host.write_self("attr/apparmor/exec", text);
    // Kernels before 5.1 have the shared file only.
    if (error == -ENOENT) error = context_.host.write_self("attr/exec", text);
    if (error < 0) return failure_.set("apparmor", -error, plan_.apparmor_profile);
  }
  if (plan_.selinux_label.empty()) return true;
  const int error = context_.host.write_self("attr/exec", plan_.selinux_label.c_str());
  return error == 0 || failure_.set("selinux", -error, plan_.selinux_label);
}

// An empty one is none, as to runc.
bool Becoming::name_home() {
  std::snprintf(home_, sizeof(home_), "HOME=%s", user_.home);
  for (char** variable = context_.arrays.environment(); *variable != nullptr; ++variable) {
    if (std::strncmp(*variable, "HOME=", 5) != 0) continue;
    if ((*variable)[5] == '\0') *variable = home_;
    return true;
  }
  context_.arrays.add_variable(home_);
  return true;
}

// runc's order: the bounding set while CAP_SETPCAP is there, then IDs with permitted capabilities kept, then the sets.
bool Becoming::take_user() {
  int error = limit_bounding(plan_.capabilities.bounding);
  if (error < 0) return failure_.set("capabilities", -error, "bounding");
  error = keep_capabilities(true);
  if (error < 0) return failure_.set("capabilities", -error, "keep");
  error = become(user_.uid, user_.gid, user_.groups, user_.group_count);
  if (error < 0) return failure_.set("user", -error, plan_.user);
  if (enter_as_user_ && !enter_directory()) return false;
  error = keep_capabilities(false);
  if (error < 0) return failure_.set("capabilities", -error, "keep");
  error = set_capabilities(plan_.capabilities);
  return error == 0 || failure_.set("capabilities", -error, "set");
}

bool Becoming::filter() {
  if (plan_.seccomp_program.empty()) return true;
  const int error = load_seccomp(plan_.seccomp_program.data(), plan_.seccomp_program.size(), plan_.seccomp_flags);
  return error == 0 || failure_.set("seccomp", -error);
}

// A file that could be executed and is no program, or whose interpreter is missing: with runc such a process has begun,
// tells of it itself, and ends with 255.
[[noreturn]] void end_unexecuted(const char* path, int error) {
  char text[PATH_MAX + 128];
  const int length = std::snprintf(text, sizeof(text), "exec %s: %s\n", path, error_text(error));
  // Nobody may be reading: the exit code has to do then.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text, static_cast<size_t>(length));
  _exit(255);
}

bool Becoming::execute() {
  char path[PATH_MAX];
  if (plan_.args.empty()) return failure_.say("exec", EINVAL, "no command specified");
  if (!find_program(plan_.args[0].c_str(), context_.arrays.environment(), path, failure_)) return false;
  write_start_time(context_.start_record);
  if (plan_.no_new_privileges && !filter()) return false;
  execve(path, context_.arrays.args(), context_.arrays.environment());
  end_unexecuted(path, errno);
}

// What a seccomp filter might forbid later, and nothing later undoes.
bool Becoming::leave_shim_behind() {
  sigset_t none;
  sigemptyset(&none);
  if (sigprocmask(SIG_SETMASK, &none, nullptr) != 0) return failure_.set("sigprocmask", errno);
  if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return failure_.set("close_range", errno);
  return true;
}

void Becoming::run() {
  if (!leave_shim_behind() || !limit()) return;
  if (!resolve_user(context_.root, plan_.user.c_str(), plan_.additional_groups, user_, failure_)) return;
  if (!enter_directory() || !connect_streams() || !give_streams() || !label() || !name_home()) return;
  if (!limit_files()) return;
  umask(plan_.set_umask ? plan_.umask : 0022);
  if (plan_.no_new_privileges) {
    const int error = refuse_new_privileges();
    if (error < 0) {
      failure_.set("no_new_privs", -error);
      return;
    }
  } else if (!filter()) {
    // Without no_new_privs this needs CAP_SYS_ADMIN, which goes next.
    return;
  }
  if (!take_user() || !die_with_shim(context_.sync, failure_)) return;
  execute();
}

}  // namespace

ExecArrays::ExecArrays(const std::vector<std::string>& args, const std::vector<std::string>& env)
    : variables_(env.size()) {
  // execve(2) does not change what these point to.
  for (const auto& arg : args) args_.push_back(const_cast<char*>(arg.c_str()));
  args_.push_back(nullptr);
  for (const auto& variable : env) environment_.push_back(const_cast<char*>(variable.c_str()));
  environment_.resize(env.size() + 2, nullptr);
}

void ExecArrays::add_variable(char* variable) {
  if (variables_ + 1 < environment_.size()) environment_[variables_++] = variable;
}

bool die_with_shim(int sync, Failure& failure) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return failure.set("pdeathsig", errno);
  // Its death before the call sends nothing. The parent's PID says nothing either, from another PID namespace.
  pollfd peer = {sync, 0, 0};
  if (poll(&peer, 1, 0) > 0 && (peer.revents & (POLLHUP | POLLERR)) != 0) return failure.set("pdeathsig", ESRCH);
  return true;
}

void become_program(const ProcessContext& context, Failure& failure) { Becoming(context, failure).run(); }

}  // namespace gantry::shim
