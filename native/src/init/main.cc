// PID 1 of a container that was made with --init: starts the command as its only child, passes signals on to it,
// reaps whatever is orphaned, and exits as the command did. Plain system calls on fixed memory, so that it costs
// next to nothing in each container.
//
//   docker-init [--] command [argument…]
//
// Exit code: the command's, or 128 + the signal that ended it; 127 when the command was not found, 126 when it could
// not be run, 1 when the start failed otherwise, 2 for a wrong command line.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

enum ExitCode { kFailed = 1, kUsage = 2, kCannotRun = 126, kNotFound = 127, kSignalBase = 128 };

// Without these, a fault in this process itself would wait to be handled for ever.
constexpr int kFaults[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS};

void say(const char* text) {
  // Nobody to tell when stderr is gone.
  if (write(STDERR_FILENO, text, strlen(text)) < 0) return;
}

void complain(const char* what, int error) {
  say("docker-init: ");
  say(what);
  say(": ");
  say(strerrordesc_np(error));
  say("\n");
}

// In the child: a process group of its own, in the terminal's foreground if there is one, then the command.
[[noreturn]] void run_command(char** command, const sigset_t& original_mask) {
  setpgid(0, 0);
  // A background process that takes the terminal gets SIGTTOU, which is blocked here.
  tcsetpgrp(STDIN_FILENO, getpgrp());
  sigprocmask(SIG_SETMASK, &original_mask, nullptr);
  execvp(command[0], command);
  int error = errno;
  complain(command[0], error);
  _exit(error == ENOENT || error == ENOTDIR ? kNotFound : kCannotRun);
}

int exit_code_of(int status) {
  return WIFSIGNALED(status) ? kSignalBase + WTERMSIG(status) : WEXITSTATUS(status);
}

// Reaps all that have ended. True when the command was among them.
bool reap(pid_t command, int& exit_code) {
  for (;;) {
    int status = 0;
    pid_t ended = waitpid(-1, &status, WNOHANG);
    if (ended <= 0) return false;
    if (ended != command) continue;
    exit_code = exit_code_of(status);
    return true;
  }
}

int supervise(pid_t command, const sigset_t& signals) {
  int exit_code = kFailed;
  for (;;) {
    siginfo_t info;
    int signal = sigwaitinfo(&signals, &info);
    if (signal < 0) continue;  // EINTR: stopped and continued
    if (signal == SIGCHLD) {
      if (reap(command, exit_code)) return exit_code;
      continue;
    }
    // Of our own writing to a terminal or pipe: nothing that the command should know of.
    if (signal == SIGTTIN || signal == SIGTTOU || (signal == SIGPIPE && info.si_pid == getpid())) continue;
    // ESRCH: it has ended, and SIGCHLD is about to say so.
    if (kill(command, signal) != 0 && errno != ESRCH) complain("kill", errno);
  }
}

}  // namespace

int main(int argc, char** argv) {
  char** command = argv + 1;
  if (argc > 1 && strcmp(argv[1], "--") == 0) command++;
  if (argc < 2 || *command == nullptr) {
    say("usage: docker-init [--] command [argument...]\n");
    return kUsage;
  }
  // Not the first process of a PID namespace (the container shares one): then at least the one that orphans go to.
  if (getpid() != 1 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) complain("subreaper", errno);

  sigset_t signals;
  sigset_t original;
  sigfillset(&signals);
  for (int fault : kFaults) sigdelset(&signals, fault);
  sigprocmask(SIG_SETMASK, &signals, &original);

  pid_t child = fork();
  if (child < 0) {
    complain("fork", errno);
    return kFailed;
  }
  if (child == 0) run_command(command, original);
  return supervise(child, signals);
}
