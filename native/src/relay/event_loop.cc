#include "relay/event_loop.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

namespace gantry::relay {
namespace {

constexpr int kTickMs = 1000;

int64_t monotonic_seconds() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec;
}

}  // namespace

EventLoop::EventLoop() : epoll_(epoll_create1(EPOLL_CLOEXEC)), now_(monotonic_seconds()), last_tick_(now_) {
  if (!epoll_) abort();
}

bool EventLoop::watch(int fd, uint32_t events, Handler* handler) {
  epoll_event event{.events = events, .data = {.ptr = handler}};
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

bool EventLoop::change(int fd, uint32_t events, Handler* handler) {
  epoll_event event{.events = events, .data = {.ptr = handler}};
  return epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0;
}

void EventLoop::run_soon(Handler* handler) { soon_.push_back(handler); }

void EventLoop::retire(Handler* handler, std::shared_ptr<void> owner) {
  dead_.push_back(handler);
  retired_.push_back(std::move(owner));
}

void EventLoop::dispatch(Handler* handler, uint32_t events) {
  if (std::find(dead_.begin(), dead_.end(), handler) == dead_.end()) handler->on_events(events);
}

int EventLoop::wait_ms() const {
  if (!soon_.empty()) return 0;
  return ticking_ ? kTickMs : -1;
}

void EventLoop::run(const sigset_t& signals) {
  std::array<epoll_event, 128> events;
  while (!stopped_) {
    int count = epoll_pwait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_ms(), &signals);
    if (count < 0 && errno != EINTR) abort();
    now_ = monotonic_seconds();
    std::vector<Handler*> soon = std::move(soon_);
    soon_.clear();
    for (int i = 0; i < count; i++) dispatch(static_cast<Handler*>(events[static_cast<size_t>(i)].data.ptr), events[static_cast<size_t>(i)].events);
    for (Handler* handler : soon) dispatch(handler, 0);
    ticking_ |= count > 0;
    if (now_ != last_tick_ && tick_) {
      last_tick_ = now_;
      ticking_ = tick_();
    }
    // Work put off by a handler that has gone since must not outlive it.
    if (!dead_.empty()) {
      std::erase_if(soon_, [&](Handler* handler) { return std::find(dead_.begin(), dead_.end(), handler) != dead_.end(); });
    }
    dead_.clear();
    // Destructors may retire more.
    std::vector<std::shared_ptr<void>> retired = std::move(retired_);
    retired_.clear();
  }
}

}  // namespace gantry::relay
