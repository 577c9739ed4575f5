// TCP: each accepted connection is joined to one to the container. Bytes go by splice(2), so they never enter this
// process; a slow reader holds its writer back, and each side's end of stream is passed on by itself.

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <unordered_map>

#include "relay/pipe_pool.h"
#include "relay/port.h"

namespace gantry::relay {
namespace {

constexpr size_t kSpliceSize = 1 << 20;     // at most; a pipe holds 64 KiB by default
constexpr int kRoundsPerTurn = 16;          // before another connection has its turn
constexpr int kAcceptsPerTurn = 64;
constexpr int kDescriptorsPerConnection = 6;  // two sockets, two pipes
constexpr int kReservedDescriptors = 128;
constexpr int kKeepAliveIdleSeconds = 60;
constexpr int kKeepAliveIntervalSeconds = 15;
constexpr int kKeepAliveProbes = 5;

void set_option(int fd, int level, int option, int value) { (void)setsockopt(fd, level, option, &value, sizeof value); }

// What is written is to go at once, and a peer that vanished is to be noticed.
void tune(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdleSeconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveIntervalSeconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
}

// close(2) will send a reset instead of an end of stream.
void reset_on_close(int fd) {
  linger hard{.l_onoff = 1, .l_linger = 0};
  (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

size_t max_connections() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) files.rlim_cur = 1024;
  return (std::max<rlim_t>(files.rlim_cur, 2 * kReservedDescriptors) - kReservedDescriptors) / kDescriptorsPerConnection;
}

// Shared by all ports of the process.
size_t connection_count = 0;
PipePool pipe_pool;

// One way of a connection.
struct Direction {
  int from;
  int to;
  Pipe pipe;
  size_t in_pipe = 0;
  bool from_ended = false;
  bool finished = false;  // the end of stream was passed on, or nobody is left to pass anything on to
};

enum class Step { kMoved, kWaiting, kFailed };

Step result_of(ssize_t n) {
  if (n >= 0) return Step::kMoved;
  return errno == EAGAIN || errno == EINTR ? Step::kWaiting : Step::kFailed;
}

Step fill(Direction& way) {
  if (!way.pipe) way.pipe = pipe_pool.take();
  if (!way.pipe) return Step::kFailed;
  ssize_t n = splice(way.from, nullptr, way.pipe.write.get(), nullptr, kSpliceSize, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
  if (n == 0) way.from_ended = true;
  if (n > 0) way.in_pipe += static_cast<size_t>(n);
  return result_of(n);
}

Step drain(Direction& way) {
  ssize_t n = splice(way.pipe.read.get(), nullptr, way.to, nullptr, way.in_pipe, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
  if (n > 0) way.in_pipe -= static_cast<size_t>(n);
  return result_of(n);
}

void finish(Direction& way) {
  (void)shutdown(way.to, SHUT_WR);
  way.finished = true;
}

// Moves what can be moved without waiting. True when it stopped only to let others have a turn.
// `back` is the other direction, which ends when this one finds that `from` is no more.
bool pump(Direction& way, Direction& back) {
  Step step = Step::kMoved;
  for (int round = 0; round < kRoundsPerTurn && step == Step::kMoved && !way.finished; round++) {
    if (way.in_pipe > 0) {
      step = drain(way);
      // Nobody takes it any more; what comes from there may still be of use.
      if (step == Step::kFailed) finish(way);
    } else if (way.from_ended) {
      finish(way);
    } else {
      step = fill(way);
      // Reset: what came before is delivered, then this direction ends like any other, and nothing can go back.
      if (step == Step::kFailed) {
        way.from_ended = back.finished = true;
        step = Step::kMoved;
      }
    }
  }
  if (way.in_pipe == 0 && way.pipe) pipe_pool.give(std::exchange(way.pipe, Pipe{}));
  return step == Step::kMoved && !way.finished;
}

class TcpPort;

class Connection final : public Handler, public std::enable_shared_from_this<Connection> {
 public:
  Connection(EventLoop& loop, TcpPort& port, UniqueFd client) : loop_(loop), port_(port), client_(std::move(client)) {
    connection_count++;
  }
  ~Connection() override { connection_count--; }

  // Begins connecting to the container. False when that failed at once.
  bool start(const Address& target);
  void on_events(uint32_t events) override;
  // Ends both sides with a reset.
  void abort();

 private:
  void finish_connecting();
  void end();

  EventLoop& loop_;
  TcpPort& port_;
  UniqueFd client_;
  UniqueFd container_;
  bool connecting_ = true;
  bool put_off_ = false;
  Direction to_container_{};
  Direction to_client_{};
};

class TcpPort final : public Port, public Handler {
 public:
  TcpPort(EventLoop& loop, UniqueFd listener, const Address& target)
      : loop_(loop), listener_(std::move(listener)), target_(target), max_connections_(max_connections()) {}

  void close() override {
    listener_.reset();
    while (!connections_.empty()) {
      std::shared_ptr<Connection> connection = connections_.begin()->second;
      connection->abort();  // takes itself off the list
    }
  }
  Handler* handler() override { return this; }

  bool start() { return loop_.watch(listener_.get(), EPOLLIN, this); }
  void set_target(const Address& target) override { target_ = target; }
  size_t active() const override { return connections_.size(); }

  bool on_tick() override {
    if (paused_ && listener_ && connection_count < max_connections_) set_paused(false);
    return paused_;
  }

  void on_events(uint32_t) override {
    for (int i = 0; i < kAcceptsPerTurn; i++) {
      // Too many: those who come now wait in the backlog until others have gone.
      if (connection_count >= max_connections_) return set_paused(true);
      UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!client && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) return set_paused(true);
      if (!client && errno == EAGAIN) return;
      if (!client) continue;  // accept(2): errors of the new connection itself are reported here
      tune(client.get());
      auto connection = std::make_shared<Connection>(loop_, *this, std::move(client));
      connections_.emplace(connection.get(), connection);
      if (!connection->start(target_)) connection->abort();
    }
  }

  void forget(Connection* connection) { connections_.erase(connection); }

 private:
  void set_paused(bool paused) {
    paused_ = paused;
    (void)loop_.change(listener_.get(), paused ? 0U : uint32_t{EPOLLIN}, this);
  }

  EventLoop& loop_;
  UniqueFd listener_;
  Address target_;
  size_t max_connections_;
  bool paused_ = false;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;
};

bool Connection::start(const Address& target) {
  container_.reset(socket(target.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!container_) return false;
  tune(container_.get());
  if (connect(container_.get(), target.get(), target.size) != 0 && errno != EINPROGRESS) return false;
  to_container_ = {.from = client_.get(), .to = container_.get(), .pipe = {}};
  to_client_ = {.from = container_.get(), .to = client_.get(), .pipe = {}};
  // Edge-triggered, all interests from the beginning: no system call is needed to change them later.
  constexpr uint32_t kEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  return loop_.watch(container_.get(), kEvents, this) && loop_.watch(client_.get(), kEvents, this);
}

void Connection::finish_connecting() {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(container_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  // Not yet: the event was the client's.
  sockaddr_storage peer;
  socklen_t peer_size = sizeof peer;
  if (error == 0 && getpeername(container_.get(), reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0) {
    connecting_ = false;
    return;
  }
  // The container refuses, so the client is refused.
  if (error != 0 || errno != ENOTCONN) abort();
}

void Connection::on_events(uint32_t events) {
  if (events == 0) put_off_ = false;
  if (connecting_) {
    finish_connecting();
    if (connecting_) return;
  }
  bool more = pump(to_container_, to_client_);
  more |= pump(to_client_, to_container_);
  if (to_container_.finished && to_client_.finished) return end();
  if (more && !put_off_) {
    put_off_ = true;
    loop_.run_soon(this);
  }
}

void Connection::end() {
  std::shared_ptr<Connection> self = shared_from_this();
  port_.forget(this);
  client_.reset();
  container_.reset();
  loop_.retire(this, std::move(self));
}

void Connection::abort() {
  if (client_) reset_on_close(client_.get());
  if (container_) reset_on_close(container_.get());
  end();
}

}  // namespace

UniqueFd bind_socket(const Address& host, int type, bool reuse_address) {
  UniqueFd fd(socket(host.family(), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fd;
  if (host.family() == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  // Connections that have ended may still be in TIME_WAIT; a program that listens is a conflict all the same.
  if (reuse_address) set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (bind(fd.get(), host.get(), host.size) == 0) return fd;
  int error = errno;
  fd.reset();
  errno = error;
  return fd;
}

std::unique_ptr<Port> open_tcp_port(EventLoop& loop, const Address& host, const Address& target) {
  UniqueFd listener = bind_socket(host, SOCK_STREAM, true);
  if (!listener || listen(listener.get(), SOMAXCONN) != 0) return nullptr;
  auto port = std::make_unique<TcpPort>(loop, std::move(listener), target);
  return port->start() ? std::move(port) : nullptr;
}

}  // namespace gantry::relay
