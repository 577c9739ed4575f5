#include "shim/name_server.h"

#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "shim/name_answer.h"

namespace gantry::shim {
namespace {

constexpr size_t kConnectionsMax = 64;
constexpr uint32_t kIdleMs = 10000;
// A client that asks and does not read is cut off.
constexpr size_t kPendingMax = 256 * 1024;
// Datagrams of one round: the container's streams want their turn, too.
constexpr int kDatagramsPerRound = 32;
constexpr size_t kLengthBytes = 2;

}  // namespace

// A TCP connection of a client.
class NameConnection : public Watch, public Alarm {
 public:
  NameConnection(Loop& loop, NameServer& server, UniqueFd socket, uint64_t key)
      : loop_(loop), server_(server), socket_(std::move(socket)), key_(key) {
    loop_.add(socket_.get(), EPOLLIN, this);
    loop_.set_alarm(this, kIdleMs);
  }
  ~NameConnection() override { release(); }

  uint64_t key() const { return key_; }

  void send(std::string_view message) {
    if (!socket_) return;
    out_ += static_cast<char>(message.size() >> 8);
    out_ += static_cast<char>(message.size());
    out_ += message;
    loop_.set_alarm(this, kIdleMs);
    flush();
  }

  void ready(uint32_t events) override {
    if ((events & EPOLLOUT) != 0) flush();
    if (socket_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_some();
  }

  void expired() override { close(); }

 private:
  void read_some() {
    const std::span<char> buffer = loop_.scratch();
    const ssize_t length = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) return close();
    in_.append(buffer.data(), static_cast<size_t>(length));
    loop_.set_alarm(this, kIdleMs);
    take_messages();
  }

  void take_messages() {
    size_t at = 0;
    while (in_.size() - at >= kLengthBytes) {
      const size_t size = dns::message_id(std::string_view(in_).substr(at));
      if (in_.size() - at - kLengthBytes < size) break;
      NameAsker asker;
      asker.tcp = true;
      asker.connection = key_;
      server_.take(std::string_view(in_).substr(at + kLengthBytes, size), asker);
      if (!socket_) return;
      at += kLengthBytes + size;
    }
    in_.erase(0, at);
  }

  void flush() {
    while (sent_ < out_.size()) {
      const ssize_t sent = ::send(socket_.get(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno != EAGAIN) return close();
      if (sent < 0) break;
      sent_ += static_cast<size_t>(sent);
    }
    if (out_.size() - sent_ > kPendingMax) return close();
    const bool all = sent_ == out_.size();
    if (all) {
      out_ = std::string();
      sent_ = 0;
    }
    loop_.change(socket_.get(), all ? EPOLLIN : EPOLLIN | EPOLLOUT, this);
  }

  void release() {
    loop_.clear_alarm(this);
    if (!socket_) return;
    loop_.remove(socket_.get(), this);
    socket_.reset();
  }

  void close() {
    release();
    server_.forget(this);
  }

  Loop& loop_;
  NameServer& server_;
  UniqueFd socket_;
  uint64_t key_;
  std::string in_;
  std::string out_;
  size_t sent_ = 0;
};

NameServer::NameServer(Loop& loop, NameSockets sockets, int network)
    : loop_(loop), sockets_(std::move(sockets)), forwarder_(loop, *this, network) {
  turn_ = static_cast<uint32_t>(realtime_ns() / 1000) | 1;
  loop_.add(sockets_.udp.get(), EPOLLIN, this);
  loop_.add(sockets_.tcp.get(), EPOLLIN, this);
}

NameServer::~NameServer() {
  loop_.remove(sockets_.udp.get(), this);
  loop_.remove(sockets_.tcp.get(), this);
}

void NameServer::ready(uint32_t) {
  accept_all();
  for (int i = 0; i < kDatagramsPerRound && take_datagram(); ++i) {
  }
}

bool NameServer::take_datagram() {
  const std::span<char> buffer = loop_.scratch();
  NameAsker asker;
  socklen_t size = sizeof(asker.address);
  const ssize_t length = recvfrom(sockets_.udp.get(), buffer.data(), buffer.size(), 0,
                                  reinterpret_cast<sockaddr*>(&asker.address), &size);
  if (length < 0) return false;
  // The scratch buffer is used again while the message is looked at.
  const std::string message(buffer.data(), static_cast<size_t>(length));
  take(message, asker);
  return true;
}

void NameServer::accept_all() {
  for (;;) {
    UniqueFd socket(accept4(sockets_.tcp.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    if (connections_.size() >= kConnectionsMax) continue;
    connections_.push_back(std::make_unique<NameConnection>(loop_, *this, std::move(socket), ++last_key_));
  }
}

// Not a plain counter: clients that ask for A and AAAA by turns would see every second of its values.
uint32_t NameServer::next_turn() {
  turn_ ^= turn_ << 13;
  turn_ ^= turn_ >> 17;
  turn_ ^= turn_ << 5;
  return turn_;
}

void NameServer::take(std::string_view message, const NameAsker& asker) {
  dns::Query query;
  switch (dns::parse_query(message, query)) {
    case dns::Parsed::kIgnored: return;
    case dns::Parsed::kMalformed: return answer(asker, dns::refuse(message, dns::Rcode::kFormatError));
    case dns::Parsed::kUnsupported: return answer(asker, dns::refuse(message, dns::Rcode::kNotImplemented));
    case dns::Parsed::kQuery: break;
  }
  std::string own;
  if (answer_from_table(table_, query, asker.tcp ? dns::kMessageMax : query.udp_max, next_turn(), own)) {
    return answer(asker, own);
  }
  const bool is_known = query.klass == dns::kClassInternet && table_.find(query.name, sizeof(in_addr)).known;
  forwarder_.ask(table_, query, message, asker, is_known);
}

void NameServer::answer(const NameAsker& asker, std::string_view message) {
  if (!asker.tcp) {
    // An answer that does not fit the socket's buffer is lost, as datagrams are.
    sendto(sockets_.udp.get(), message.data(), message.size(), MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(&asker.address), sizeof(asker.address));
    return;
  }
  for (const auto& connection : connections_) {
    if (connection->key() == asker.connection) return connection->send(message);
  }
}

void NameServer::forget(NameConnection* connection) {
  const auto place =
      std::find_if(connections_.begin(), connections_.end(), [&](const auto& held) { return held.get() == connection; });
  if (place == connections_.end()) return;
  loop_.bury(std::move(*place));
  connections_.erase(place);
}

}  // namespace gantry::shim
