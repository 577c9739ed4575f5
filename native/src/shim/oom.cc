#include "shim/oom.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "kernel/cgroup.h"

namespace gantry::shim {
namespace {

// A notice of v1 comes when memory is short; the kill follows within this time or not at all.
constexpr uint32_t kLookAgainMs = 10;
constexpr int kLooks = 20;

}  // namespace

OomWatch::~OomWatch() {
  loop_.clear_alarm(this);
  if (notices_) loop_.remove(notices_.get(), this);
}

void OomWatch::open(const std::string& v1_dir, const std::string& v2_dir) {
  const bool v1 = !v1_dir.empty();
  dir_ = v1 ? v1_dir : v2_dir;
  if (dir_.empty()) return;
  file_ = v1 ? "memory.oom_control" : "memory.events";
  // The directory may have been there before, with a count.
  seen_ = std::max<int64_t>(0, read_cgroup_counter(dir_.c_str(), file_, "oom_kill"));
  if (!(v1 ? open_v1() : open_v2())) notices_.reset();
  if (notices_) loop_.add(notices_.get(), EPOLLIN, this);
}

bool OomWatch::open_v1() {
  notices_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const UniqueFd control(::open((dir_ + "/memory.oom_control").c_str(), O_RDONLY | O_CLOEXEC));
  if (!notices_ || !control) return false;
  char text[32];
  std::snprintf(text, sizeof(text), "%d %d", notices_.get(), control.get());
  return write_cgroup_file(dir_.c_str(), "cgroup.event_control", text) == 0;
}

bool OomWatch::open_v2() {
  notices_.reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  return notices_ && inotify_add_watch(notices_.get(), (dir_ + "/memory.events").c_str(), IN_MODIFY) >= 0;
}

void OomWatch::ready(uint32_t) {
  char events[512];
  while (read(notices_.get(), events, sizeof(events)) > 0) {
  }
  looks_left_ = kLooks;
  expired();
}

void OomWatch::expired() {
  const int64_t before = seen_;
  check();
  if (seen_ == before && waits_for_memory()) {
    looks_left_ = 0;
    owner_.out_of_memory();
    return;
  }
  if (seen_ == before && --looks_left_ > 0) loop_.set_alarm(this, kLookAgainMs);
}

// Without the killer (--oom-kill-disable) processes stand still until there is memory: nothing is counted.
bool OomWatch::waits_for_memory() const {
  return read_cgroup_counter(dir_.c_str(), file_, "oom_kill_disable") == 1 &&
         read_cgroup_counter(dir_.c_str(), file_, "under_oom") == 1;
}

bool OomWatch::check() {
  if (dir_.empty()) return false;
  const int64_t count = read_cgroup_counter(dir_.c_str(), file_, "oom_kill");
  if (count <= seen_) return false;
  seen_ = count;
  owner_.out_of_memory();
  return true;
}

}  // namespace gantry::shim
