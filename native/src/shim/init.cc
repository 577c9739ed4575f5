#include "shim/init.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "kernel/namespace.h"
#include "shim/hooks.h"
#include "shim/network.h"
#include "shim/sync.h"

namespace gantry::shim {
namespace {

// The first process's way to its program, step by step.
class Init {
 public:
  explicit Init(const InitContext& context)
      : context_(context), plan_(context.plan), rootfs_(context.plan, context.mounts, host_, failure_) {}

  [[noreturn]] void run();

 private:
  bool begin();
  bool own_user_namespace();
  bool await_cgroups();
  bool build_root();
  bool connect_terminal();
  bool configure_namespaces();
  bool enter_root();
  bool order_failed();

  const InitContext& context_;
  const LaunchPlan& plan_;
  Failure failure_ = {};
  HostHandles host_;
  Rootfs rootfs_;
  Terminal terminal_;
  bool attached_ = false;
};

bool Init::order_failed() { return failure_.say("sync", EPIPE, "the shim process went away"); }

bool Init::begin() {
  if (!die_with_shim(context_.sync, failure_)) return false;
  if (plan_.namespace_of(CLONE_NEWUSER) != nullptr && !own_user_namespace()) return false;
  if (setsid() < 0) return failure_.set("setsid", errno);
  return host_.open(failure_);
}

bool Init::own_user_namespace() {
  // Its maps have to be there before any ID means something.
  if (!await_cgroups()) return false;
  const int error = become(0, 0, nullptr, 0);
  if (error < 0) return failure_.set("user namespace", -error);
  return die_with_shim(context_.sync, failure_);
}

// Cgroups are entered while the first mounts are made: moving a process takes some milliseconds in v1. What depends
// on them waits here, and a new cgroup namespace takes what is entered by now as its root.
bool Init::await_cgroups() {
  if (attached_) return true;
  if (!await_order(context_.sync, Order::kAttached)) return order_failed();
  attached_ = true;
  if (plan_.makes_namespace(CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) != 0) {
    return failure_.set("cgroup namespace", errno);
  }
  return true;
}

bool Init::build_root() {
  if (!rootfs_.mount_root()) return false;
  for (size_t i = 0; i < plan_.mounts.size(); ++i) {
    const std::string& type = plan_.mounts[i].type;
    if ((type == "cgroup" || type == "cgroup2") && !await_cgroups()) return false;
    if (!rootfs_.mount(i)) return false;
  }
  return rootfs_.make_devices() && rootfs_.mount_init() && connect_terminal() && await_cgroups();
}

bool Init::connect_terminal() {
  const ProcessPlan& process = plan_.process;
  if (!process.terminal) return true;
  if (!open_terminal(rootfs_.fd(), process.console_height, process.console_width, terminal_, failure_)) return false;
  if (!rootfs_.mount_console(terminal_.slave.get())) return false;
  if (!send_terminal(context_.sync, terminal_.master.get(), terminal_.slave.get())) return order_failed();
  terminal_.master.reset();
  return true;
}

bool Init::configure_namespaces() {
  if (!await_order(context_.sync, Order::kLinked)) return order_failed();
  const bool new_network = plan_.makes_namespace(CLONE_NEWNET);
  if ((new_network || !plan_.interfaces.empty()) && !configure_links(plan_.interfaces, host_, failure_)) return false;
  if (!plan_.makes_namespace(CLONE_NEWUTS) && !(plan_.hostname.empty() && plan_.domainname.empty())) {
    return failure_.say("hostname", EPERM, "unable to set hostname without a private UTS namespace");
  }
  if (!plan_.hostname.empty() && sethostname(plan_.hostname.c_str(), plan_.hostname.size()) != 0) {
    return failure_.set("hostname", errno, plan_.hostname);
  }
  if (!plan_.domainname.empty() && setdomainname(plan_.domainname.c_str(), plan_.domainname.size()) != 0) {
    return failure_.set("domainname", errno, plan_.domainname);
  }
  for (const auto& [key, value] : plan_.sysctls) {
    if (!host_.write_sysctl(key.c_str(), value.c_str(), failure_)) return false;
  }
  return true;
}

bool Init::enter_root() {
  if (has_hooks(plan_, kBeforePivotStages)) {
    if (!send_report(context_.sync, Notice::kPrepared, 0)) return order_failed();
    if (!await_order(context_.sync, Order::kResume)) return order_failed();
  }
  if (!run_hooks(plan_, "createContainer", "created", 0, failure_)) return false;
  if (!rootfs_.protect_paths() || !rootfs_.enter()) return false;
  return run_hooks(plan_, "startContainer", "created", 0, failure_);
}

void Init::run() {
  if (begin() && build_root() && configure_namespaces() && enter_root() &&
      announce_links(plan_.interfaces, context_.link_control, failure_)) {
    const ProcessContext process = {.plan = plan_.process,
                                    .arrays = context_.arrays,
                                    .host = host_,
                                    .streams = context_.streams,
                                    .slave = terminal_.slave.get(),
                                    .sync = context_.sync,
                                    .root = rootfs_.fd(),
                                    .inherited = context_.inherited,
                                    .make_cwd = true,
                                    .start_record = context_.start_record};
    become_program(process, failure_);
  }
  send_failure(context_.sync, failure_);
  _exit(127);
}

bool join_namespaces(const LaunchPlan& plan, Failure& failure) {
  // The user namespace last: whoever enters it first has no right to enter the others any more.
  for (int pass = 0; pass < 2; ++pass) {
    for (const auto& wanted : plan.namespaces) {
      if (wanted.path.empty() || (wanted.clone_flag == CLONE_NEWUSER) != (pass == 1)) continue;
      const UniqueFd fd(open(wanted.path.c_str(), O_RDONLY | O_CLOEXEC));
      if (!fd || setns(fd.get(), static_cast<int>(wanted.clone_flag)) != 0) {
        failure.say("namespace", errno, "join %s namespace %s: %s", namespace_name(wanted.clone_flag),
                    wanted.path.c_str(), error_text(errno));
        return failure.about(wanted.path);
      }
    }
  }
  return true;
}

}  // namespace

uint64_t new_namespaces(const LaunchPlan& plan) {
  uint64_t flags = 0;
  for (const auto& wanted : plan.namespaces) {
    if (wanted.path.empty() && wanted.clone_flag != CLONE_NEWCGROUP) flags |= wanted.clone_flag;
  }
  return flags;
}

void run_init(const InitContext& context) { Init(context).run(); }

void run_joining_init(const InitContext& context, int v2_cgroup) {
  Failure failure = {};
  if (!join_namespaces(context.plan, failure)) {
    send_failure(context.sync, failure);
    _exit(127);
  }
  CloneRequest request;
  request.flags = new_namespaces(context.plan) | CLONE_PARENT;
  request.cgroup = v2_cgroup;
  const pid_t pid = clone_process(request);
  if (pid == 0) run_init(context);
  if (pid < 0) {
    failure.set("clone", -pid);
    send_failure(context.sync, failure);
    _exit(127);
  }
  send_report(context.sync, Notice::kPid, pid);
  _exit(0);
}

}  // namespace gantry::shim
