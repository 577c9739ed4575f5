#include "shim/control.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace gantry::shim {
namespace {

constexpr size_t kMessageMax = 1 << 20;
constexpr size_t kPendingMax = 1 << 20;
constexpr size_t kConnectionsMax = 64;
constexpr size_t kUnheardMax = 256;
constexpr size_t kLengthBytes = 4;

uint32_t read_length(const char* bytes) {
  uint32_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return length;
}

bool is_own_user(int socket) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

}  // namespace

ControlConnection::ControlConnection(Loop& loop, ControlServer& server, UniqueFd socket, uint64_t key, bool said_hello)
    : loop_(loop), server_(server), socket_(std::move(socket)), key_(key), said_hello_(said_hello) {
  fcntl(socket_.get(), F_SETFL, fcntl(socket_.get(), F_GETFL) | O_NONBLOCK);
  loop_.add(socket_.get(), EPOLLIN, this);
}

ControlConnection::~ControlConnection() {
  if (socket_) loop_.remove(socket_.get(), this);
}

void ControlConnection::close() {
  if (!socket_) return;
  loop_.remove(socket_.get(), this);
  socket_.reset();
  server_.forget(this);
}

void ControlConnection::ready(uint32_t events) {
  if ((events & EPOLLOUT) != 0) flush();
  if (socket_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_some();
}

void ControlConnection::read_some() {
  const std::span<char> buffer = loop_.scratch();
  const ssize_t length = recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (length <= 0) return close();
  received_.append(buffer.data(), static_cast<size_t>(length));
  if (!take_frames()) close();
}

bool ControlConnection::take_frames() {
  size_t at = 0;
  while (received_.size() - at >= kLengthBytes) {
    const uint32_t length = read_length(received_.data() + at);
    if (length > kMessageMax) return false;
    if (received_.size() - at - kLengthBytes < length) break;
    if (!take_message(std::string_view(received_).substr(at + kLengthBytes, length))) return false;
    at += kLengthBytes + length;
  }
  received_.erase(0, at);
  if (received_.empty()) received_ = std::string();
  return true;
}

bool ControlConnection::take_message(std::string_view bytes) {
  ShimRequest request;
  if (!decode(bytes, request) || request.asked == Asked::kNothing) {
    send(encode_error(request.seq, {.code = "invalid", .message = "malformed request or a field that is not known"}));
    // A peer whose words are not understood is not listened to any longer, but may read why.
    return request.seq != 0 && socket_;
  }
  if (request.asked == Asked::kHello) {
    if (request.protocol_version != kProtocolVersion) {
      send(encode_error(request.seq, {.code = "version", .message = "this process speaks version 1 only"}));
      return true;
    }
    said_hello_ = true;
    server_.handler_.handle(*this, request);
    server_.tell_unheard(*this);
    return socket_.valid();
  } else if (!said_hello_) {
    send(encode_error(request.seq, {.code = "invalid", .message = "the first message has to be Hello"}));
    return true;
  }
  server_.handler_.handle(*this, request);
  return socket_.valid();
}

void ControlConnection::send(std::string_view message) {
  if (!socket_) return;
  const auto length = static_cast<uint32_t>(message.size());
  for (size_t i = 0; i < kLengthBytes; ++i) pending_ += static_cast<char>(length >> (8 * i));
  pending_ += message;
  flush();
}

void ControlConnection::flush() {
  while (sent_ < pending_.size()) {
    const ssize_t sent = ::send(socket_.get(), pending_.data() + sent_, pending_.size() - sent_, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) return close();
    if (sent < 0) break;
    sent_ += static_cast<size_t>(sent);
  }
  if (pending_.size() - sent_ > kPendingMax) return close();
  if (sent_ == pending_.size()) {
    pending_ = std::string();
    sent_ = 0;
  }
  loop_.change(socket_.get(), is_flushed() ? EPOLLIN : EPOLLIN | EPOLLOUT, this);
}

ControlServer::ControlServer(Loop& loop, ControlHandler& handler, UniqueFd listener)
    : loop_(loop), handler_(handler), listener_(std::move(listener)) {
  fcntl(listener_.get(), F_SETFL, fcntl(listener_.get(), F_GETFL) | O_NONBLOCK);
  loop_.add(listener_.get(), EPOLLIN, this);
}

ControlServer::~ControlServer() {
  if (listener_) loop_.remove(listener_.get(), this);
}

void ControlServer::ready(uint32_t) {
  for (;;) {
    UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    if (!is_own_user(socket.get()) || connections_.size() >= kConnectionsMax) continue;
    connect(std::move(socket), false);
  }
}

void ControlServer::adopt(UniqueFd socket) { connect(std::move(socket), true); }

void ControlServer::connect(UniqueFd socket, bool said_hello) {
  connections_.push_back(std::make_unique<ControlConnection>(loop_, *this, std::move(socket), ++last_key_, said_hello));
}

void ControlServer::broadcast(std::string_view message) {
  for (size_t i = 0; i < connections_.size();) {
    ControlConnection* connection = connections_[i].get();
    if (connection->said_hello()) connection->send(message);
    // One that could not be written to has left the list.
    if (i < connections_.size() && connections_[i].get() == connection) ++i;
  }
}

void ControlServer::report(std::string_view message) {
  broadcast(message);
  // Looked at afterwards: a peer that is gone shows itself by the write.
  if (std::any_of(connections_.begin(), connections_.end(), [](const auto& held) { return held->said_hello(); })) return;
  if (unheard_.size() >= kUnheardMax) unheard_.erase(unheard_.begin());
  unheard_.emplace_back(message);
}

void ControlServer::tell_unheard(ControlConnection& connection) {
  for (const std::string& message : unheard_) connection.send(message);
  // One that went before it was told leaves them to the next.
  if (connection.is_open()) unheard_.clear();
}

ControlConnection* ControlServer::find(uint64_t key) {
  for (const auto& connection : connections_) {
    if (connection->key() == key) return connection.get();
  }
  return nullptr;
}

bool ControlServer::is_flushed() const {
  return std::all_of(connections_.begin(), connections_.end(), [](const auto& held) { return held->is_flushed(); });
}

void ControlServer::forget(ControlConnection* connection) {
  const auto place =
      std::find_if(connections_.begin(), connections_.end(), [&](const auto& held) { return held.get() == connection; });
  if (place == connections_.end()) return;
  loop_.bury(std::move(*place));
  connections_.erase(place);
}

void ControlServer::close() {
  if (!listener_) return;
  sockaddr_un address = {};
  socklen_t size = sizeof(address);
  if (getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0 && address.sun_path[0] == '/') {
    unlink(address.sun_path);
  }
  loop_.remove(listener_.get(), this);
  listener_.reset();
}

}  // namespace gantry::shim
