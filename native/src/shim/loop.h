// The one event loop of the shim: epoll, deadlines, and objects that may go away while it runs.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace gantry::shim {

// Something that waits for a descriptor.
class Watch {
 public:
  virtual ~Watch() = default;

  // Called with EPOLL* bits. May remove or bury any watch, itself included.
  virtual void ready(uint32_t events) = 0;

  // Urgent watches are called before the others of a round: whoever connects in time misses no output.
  virtual bool urgent() const { return false; }
};

// Something that waits for a moment.
class Alarm {
 public:
  virtual ~Alarm() = default;

  // Called once when the deadline has passed; the alarm is off by then.
  virtual void expired() = 0;

 private:
  friend class Loop;
  uint64_t deadline_ms_ = 0;
};

// Milliseconds of the monotonic clock, and nanoseconds since the epoch.
uint64_t monotonic_ms();
int64_t realtime_ns();

// Asked between rounds, the first one too.
class RoundEnd {
 public:
  virtual ~RoundEnd() = default;
  virtual void round_ended() = 0;
};

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  bool add(int fd, uint32_t events, Watch* watch);
  void change(int fd, uint32_t events, Watch* watch);

  // Forgets the watch at once: it is not called again, not even for events of this round.
  void remove(int fd, Watch* watch);

  // Deletes an object at the end of this round, when nobody up the call chain can be inside it.
  void bury(std::unique_ptr<Watch> watch);

  void set_alarm(Alarm* alarm, uint32_t after_ms);
  void clear_alarm(Alarm* alarm);

  // Runs until `stop`.
  void run(RoundEnd& round_end);
  void stop() { running_ = false; }

  // One buffer for every reader, valid until the next call of whoever uses it. Its pages are given back when the
  // container has been quiet for a second.
  std::span<char> scratch();

 private:
  int timeout_ms();
  void call_alarms();
  void dispatch(int count, bool urgent);
  void release_memory();

  static constexpr size_t kBatch = 16;
  int epoll_;
  bool running_ = true;
  bool quiet_ = true;
  char* scratch_ = nullptr;
  std::array<epoll_event, kBatch> batch_ = {};
  std::vector<Alarm*> alarms_;
  std::vector<std::unique_ptr<Watch>> graves_;
};

}  // namespace gantry::shim
