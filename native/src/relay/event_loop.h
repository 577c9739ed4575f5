// One thread, one epoll set. Handlers stay alive until the batch of events in which they were retired is over, so
// that no event can reach a handler that is gone.
#pragma once

#include <signal.h>
#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "kernel/unique_fd.h"

namespace gantry::relay {

class Handler {
 public:
  virtual ~Handler() = default;
  // `events` is a set of EPOLL… bits.
  virtual void on_events(uint32_t events) = 0;
};

class EventLoop {
 public:
  EventLoop();

  // The descriptor stays its owner's; closing it ends the watch. False and errno when the kernel refuses.
  bool watch(int fd, uint32_t events, Handler* handler);
  bool change(int fd, uint32_t events, Handler* handler);
  // Calls on_events(0) before the loop waits again, for a handler that stopped with work left.
  void run_soon(Handler* handler);
  // Nothing of `handler` is called any more; `owner` is destroyed after the current batch.
  void retire(Handler* handler, std::shared_ptr<void> owner);
  // Called about once a second while it returns true, and after events, so that an idle loop sleeps undisturbed.
  void on_tick(std::function<bool()> tick) { tick_ = std::move(tick); }

  // Runs until stop(). Signals are taken only while it waits, as `signals` masks them then: one that is blocked
  // otherwise cannot come between the look at stop() and the wait.
  void run(const sigset_t& signals);
  void stop() { stopped_ = true; }

  // Monotonic seconds at the start of the current batch.
  int64_t now() const { return now_; }

 private:
  int wait_ms() const;
  void dispatch(Handler* handler, uint32_t events);

  UniqueFd epoll_;
  std::vector<Handler*> soon_;
  std::vector<Handler*> dead_;
  std::vector<std::shared_ptr<void>> retired_;
  std::function<bool()> tick_;
  int64_t now_ = 0;
  int64_t last_tick_ = 0;
  bool ticking_ = false;
  bool stopped_ = false;
};

}  // namespace gantry::relay
