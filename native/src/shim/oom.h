// Notices of the kernel's out-of-memory killer: an eventfd on v1's memory.oom_control, inotify on v2's memory.events.
// Whether it killed is told by the counter `oom_kill`, not by the notice, which comes before.
#pragma once

#include <cstdint>
#include <string>

#include "kernel/unique_fd.h"
#include "shim/loop.h"

namespace gantry::shim {

class OomOwner {
 public:
  virtual ~OomOwner() = default;
  // Something in the container was killed since the last call, or stands still for want of memory.
  virtual void out_of_memory() = 0;
};

class OomWatch : public Watch, public Alarm {
 public:
  OomWatch(Loop& loop, OomOwner& owner) : loop_(loop), owner_(owner) {}
  ~OomWatch() override;

  // Watches a v1 memory directory, else a v2 directory; neither or no memory controller there: nothing happens.
  void open(const std::string& v1_dir, const std::string& v2_dir);

  void ready(uint32_t events) override;
  void expired() override;

  // Looks at the counter now and tells the owner. Whether it killed anything so far.
  bool check();

 private:
  bool waits_for_memory() const;
  bool open_v1();
  bool open_v2();

  Loop& loop_;
  OomOwner& owner_;
  std::string dir_;
  const char* file_ = "";
  UniqueFd notices_;
  int64_t seen_ = 0;
  int looks_left_ = 0;
};

}  // namespace gantry::shim
