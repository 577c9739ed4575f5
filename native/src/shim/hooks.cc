#include "shim/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

#include "kernel/namespace.h"
#include "kernel/unique_fd.h"
#include "shim/loop.h"
#include "shim/process.h"

namespace gantry::shim {
namespace {

// The state JSON with what is known only now put in front of its fields.
std::string state_of(const LaunchPlan& plan, const char* status, pid_t pid) {
  std::string state = "{\"status\":\"" + std::string(status) + '"';
  if (pid > 0) state += ",\"pid\":" + std::to_string(pid);
  const size_t open = plan.hook_state_json.find('{');
  if (open == std::string::npos) return state + '}';
  const std::string rest = plan.hook_state_json.substr(open + 1);
  const size_t first = rest.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && rest[first] != '}') state += ',';
  return state + rest;
}

[[noreturn]] void run_program(const HookPlan& hook, int input, int output) {
  const std::vector<std::string> only_name = {hook.path};
  ExecArrays arrays(hook.args.empty() ? only_name : hook.args, hook.env);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setsid();
  if (dup2(input, 0) >= 0 && dup2(output, 1) >= 0 && dup2(output, 2) >= 0) {
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    execve(hook.path.c_str(), arrays.args(), arrays.environment());
  }
  _exit(127);
}

// When a hook has had its time.
class Deadline {
 public:
  explicit Deadline(uint32_t seconds) : end_ms_(seconds == 0 ? 0 : monotonic_ms() + uint64_t{seconds} * 1000) {}

  // What poll(2) takes: -1 for no end.
  int left_ms() const {
    if (end_ms_ == 0) return -1;
    const uint64_t now = monotonic_ms();
    return now >= end_ms_ ? 0 : static_cast<int>(std::min<uint64_t>(end_ms_ - now, 1U << 30));
  }

 private:
  uint64_t end_ms_;
};

// The hook's output, its end of which is one line of the error text, and the state given to it meanwhile.
struct Conversation {
  UniqueFd input;
  UniqueFd output;
  std::string state;
  std::string said;

  void talk(const Deadline& deadline);
};

void Conversation::talk(const Deadline& deadline) {
  size_t given = 0;
  while (output) {
    pollfd fds[2] = {{output.get(), POLLIN, 0}, {input.get(), POLLOUT, 0}};
    if (poll(fds, 2, deadline.left_ms()) <= 0) return;
    if (fds[1].revents != 0) {
      const ssize_t written = write(input.get(), state.data() + given, state.size() - given);
      if (written > 0) given += static_cast<size_t>(written);
      if ((written < 0 && errno != EAGAIN) || given == state.size()) input.reset();
    }
    if (fds[0].revents == 0) continue;
    char chunk[1024];
    const ssize_t length = read(output.get(), chunk, sizeof(chunk));
    if (length <= 0) return output.reset();
    if (said.size() < sizeof(chunk)) said.append(chunk, static_cast<size_t>(length));
  }
}

bool make_pipes(Conversation& talk, UniqueFd& child_input, UniqueFd& child_output) {
  int in[2];
  int out[2];
  if (pipe2(in, O_CLOEXEC) != 0) return false;
  child_input.reset(in[0]);
  talk.input.reset(in[1]);
  // A state that is larger than a pipe, and a hook that does not read it: the write would outlast the hook's time.
  if (fcntl(talk.input.get(), F_SETFL, O_NONBLOCK) != 0) return false;
  if (pipe2(out, O_CLOEXEC) != 0) return false;
  talk.output.reset(out[0]);
  child_output.reset(out[1]);
  return true;
}

bool run_hook(const HookPlan& hook, const std::string& state, Failure& failure) {
  Conversation talk;
  talk.state = state;
  UniqueFd child_input;
  UniqueFd child_output;
  if (!make_pipes(talk, child_input, child_output)) return failure.set("hook", errno, hook.path);
  int pidfd = -1;
  const pid_t pid = clone_process({.flags = 0, .cgroup = -1, .pidfd = &pidfd});
  if (pid < 0) return failure.set("hook", -pid, hook.path);
  if (pid == 0) run_program(hook, child_input.get(), child_output.get());
  const UniqueFd process(pidfd);
  child_input.reset();
  child_output.reset();
  const Deadline deadline(hook.timeout_seconds);
  talk.talk(deadline);
  pollfd ended = {pidfd, POLLIN, 0};
  const bool late = poll(&ended, 1, deadline.left_ms()) == 0;
  // With what it started: it leads a group of its own.
  if (late) kill(-pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!late && WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
  if (late) {
    failure.say("hook", ETIMEDOUT, "error running %s hook %s: timed out", hook.stage.c_str(), hook.path.c_str());
  } else {
    failure.say("hook", 0, "error running %s hook %s: exit status %d, output: %s", hook.stage.c_str(),
                hook.path.c_str(), WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), talk.said.c_str());
  }
  return failure.about(hook.path);
}

}  // namespace

bool has_hooks(const LaunchPlan& plan, const char* const (&stages)[2]) {
  for (const auto& hook : plan.hooks) {
    if (hook.stage == stages[0] || hook.stage == stages[1]) return true;
  }
  return false;
}

bool run_hooks(const LaunchPlan& plan, const char* stage, const char* status, pid_t pid, Failure& failure) {
  for (const auto& hook : plan.hooks) {
    if (hook.stage == stage && !run_hook(hook, state_of(plan, status, pid), failure)) return false;
  }
  return true;
}

std::vector<std::string> run_late_hooks(const LaunchPlan& plan, const char* stage, const char* status, pid_t pid) {
  std::vector<std::string> complaints;
  for (const auto& hook : plan.hooks) {
    Failure failure = {};
    if (hook.stage != stage || run_hook(hook, state_of(plan, status, pid), failure)) continue;
    complaints.emplace_back(failure.message);
  }
  return complaints;
}

}  // namespace gantry::shim
