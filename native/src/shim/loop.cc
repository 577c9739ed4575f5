#include "shim/loop.h"

#include <malloc.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace gantry::shim {
namespace {

// A pipe's capacity: one read takes all that is there.
constexpr size_t kScratchBytes = 64 * 1024;
constexpr int kQuietAfterMs = 1000;

}  // namespace

uint64_t monotonic_ms() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

int64_t realtime_ns() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

Loop::Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

Loop::~Loop() {
  if (scratch_ != nullptr) munmap(scratch_, kScratchBytes);
  close(epoll_);
}

bool Loop::add(int fd, uint32_t events, Watch* watch) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = watch;
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
}

void Loop::change(int fd, uint32_t events, Watch* watch) {
  epoll_event event = {};
  event.events = events;
  event.data.ptr = watch;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
}

void Loop::remove(int fd, Watch* watch) {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  for (auto& event : batch_) {
    if (event.data.ptr == watch) event.data.ptr = nullptr;
  }
}

void Loop::bury(std::unique_ptr<Watch> watch) { graves_.push_back(std::move(watch)); }

void Loop::set_alarm(Alarm* alarm, uint32_t after_ms) {
  clear_alarm(alarm);
  alarm->deadline_ms_ = monotonic_ms() + after_ms;
  alarms_.push_back(alarm);
}

void Loop::clear_alarm(Alarm* alarm) { std::erase(alarms_, alarm); }

int Loop::timeout_ms() {
  int timeout = quiet_ ? -1 : kQuietAfterMs;
  const uint64_t now = monotonic_ms();
  for (const Alarm* alarm : alarms_) {
    const uint64_t left = alarm->deadline_ms_ > now ? alarm->deadline_ms_ - now : 0;
    const int wait = static_cast<int>(std::min<uint64_t>(left, 1U << 30));
    if (timeout < 0 || wait < timeout) timeout = wait;
  }
  return timeout;
}

void Loop::call_alarms() {
  if (alarms_.empty()) return;
  const uint64_t now = monotonic_ms();
  for (;;) {
    // From the start each time: an alarm may set or clear others.
    const auto due = std::find_if(alarms_.begin(), alarms_.end(), [&](Alarm* alarm) { return alarm->deadline_ms_ <= now; });
    if (due == alarms_.end()) return;
    Alarm* alarm = *due;
    alarms_.erase(due);
    alarm->expired();
  }
}

void Loop::dispatch(int count, bool urgent) {
  for (int i = 0; i < count; ++i) {
    auto* watch = static_cast<Watch*>(batch_[static_cast<size_t>(i)].data.ptr);
    if (watch == nullptr || watch->urgent() != urgent) continue;
    const uint32_t events = batch_[static_cast<size_t>(i)].events;
    // Called once per round.
    batch_[static_cast<size_t>(i)].data.ptr = nullptr;
    watch->ready(events);
  }
}

void Loop::release_memory() {
  if (scratch_ != nullptr) madvise(scratch_, kScratchBytes, MADV_DONTNEED);
  malloc_trim(0);
  quiet_ = true;
}

void Loop::run(RoundEnd& round_end) {
  for (;;) {
    round_end.round_ended();
    graves_.clear();
    if (!running_) return;
    const int count = epoll_wait(epoll_, batch_.data(), kBatch, timeout_ms());
    if (count > 0) {
      quiet_ = false;
      dispatch(count, true);
      dispatch(count, false);
    }
    call_alarms();
    if (count == 0 && !quiet_) release_memory();
  }
}

std::span<char> Loop::scratch() {
  if (scratch_ == nullptr) {
    void* pages = mmap(nullptr, kScratchBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return {};
    scratch_ = static_cast<char*>(pages);
  }
  quiet_ = false;
  return {scratch_, kScratchBytes};
}

}  // namespace gantry::shim
