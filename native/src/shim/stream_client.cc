#include "shim/stream_client.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "shim/stdio.h"

namespace gantry::shim {
namespace {

// Output is not read any further while a client has more than this unsent.
constexpr size_t kPendingHigh = 1 << 20;
// Somebody who connects says who he is at once.
constexpr uint32_t kTicketTimeoutMs = 10000;
// After our end of the stream the peer closes; one that does not is left.
constexpr uint32_t kCloseTimeoutMs = 2000;
constexpr size_t kClientsMax = 512;

}  // namespace

StreamClient::StreamClient(Loop& loop, StreamHost& host, UniqueFd socket)
    : loop_(loop), host_(host), socket_(std::move(socket)) {}

StreamClient::~StreamClient() {
  if (stdio_ != nullptr) stdio_->leave(this);
  loop_.clear_alarm(this);
  if (socket_) loop_.remove(socket_.get(), this);
}

void StreamClient::begin() {
  interest_ = EPOLLIN;
  loop_.add(socket_.get(), interest_, this);
  loop_.set_alarm(this, kTicketTimeoutMs);
  read_ticket();
}

void StreamClient::expired() { close_now(false); }

void StreamClient::ready(uint32_t events) {
  if (state_ == State::kTicket) {
    read_ticket();
    return;
  }
  // The other side is gone for good, both ways: what it sent before still counts as input.
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    if (state_ == State::kAttached && input_open_) read_input();
    close_now(false);
    return;
  }
  if ((events & EPOLLOUT) != 0) flush();
  if ((events & EPOLLIN) != 0 && state_ != State::kClosed) read_input();
}

void StreamClient::read_ticket() {
  const ssize_t length = recv(socket_.get(), ticket_.data() + ticket_length_, ticket_.size() - ticket_length_, 0);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (length <= 0) return close_now(false);
  ticket_length_ += static_cast<size_t>(length);
  if (ticket_length_ < ticket_.size()) return;
  Stdio* stdio = host_.redeem({ticket_.data(), ticket_.size()}, terms_);
  if (stdio == nullptr) return close_now(false);
  loop_.clear_alarm(this);
  stdio_ = stdio;
  state_ = State::kAttached;
  keys_ = DetachKeys(std::exchange(terms_.detach_keys, {}));
  stdio->attach(this);
  host_.attached(*this, terms_);
  update_interest();
}

void StreamClient::update_interest() {
  if (state_ == State::kClosed || state_ == State::kTicket) return;
  // Input waits in the socket while the process does not take it; what nobody wants is read and dropped.
  const bool wants_input = input_open_ && (stdio_ == nullptr || !terms_.stdin || stdio_->input_has_room());
  uint32_t wanted = wants_input ? static_cast<uint32_t>(EPOLLIN) : 0;
  if (sent_ < pending_.size()) wanted |= EPOLLOUT;
  if (wanted == interest_) return;
  interest_ = wanted;
  loop_.change(socket_.get(), wanted, this);
}

void StreamClient::read_input() {
  const std::span<char> buffer = loop_.scratch();
  const ssize_t length = recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (length < 0) return close_now(false);
  if (length == 0) return input_ended();
  if (state_ == State::kAttached) take_input({buffer.data(), static_cast<size_t>(length)});
}

void StreamClient::take_input(std::string_view bytes) {
  if (!terms_.stdin || stdio_ == nullptr) return;
  if (!stdio_->is_terminal()) {
    stdio_->write_input(bytes);
    update_interest();
    return;
  }
  std::string passed;
  const bool detach = keys_.take(bytes, passed);
  if (!passed.empty()) stdio_->write_input(passed);
  if (!detach) return update_interest();
  flush();
  close_now(true);
}

void StreamClient::input_ended() {
  input_open_ = false;
  if (state_ == State::kClosing) return close_now(false);
  if (state_ == State::kAttached && terms_.stdin && stdio_ != nullptr && stdio_->takes_input()) {
    stdio_->client_ended_input(this);
  }
  update_interest();
}

void StreamClient::send(int stream, std::string_view data) {
  if (state_ != State::kAttached || !(stream == 2 ? terms_.stderr : terms_.stdout) || data.empty()) return;
  unsigned char header[8] = {static_cast<unsigned char>(stream)};
  const auto length = static_cast<uint32_t>(data.size());
  for (int i = 0; i < 4; ++i) header[4 + i] = static_cast<unsigned char>(length >> (24 - 8 * i));
  const size_t header_length = terms_.framed ? sizeof(header) : 0;
  size_t done = 0;
  if (sent_ == pending_.size()) {
    iovec parts[2] = {{header, header_length}, {const_cast<char*>(data.data()), data.size()}};
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t sent = sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return close_now(false);
    done = sent < 0 ? 0 : static_cast<size_t>(sent);
  }
  if (done < header_length) {
    pending_.append(reinterpret_cast<char*>(header) + done, header_length - done);
    done = header_length;
  }
  pending_.append(data.substr(done - header_length));
  update_interest();
}

bool StreamClient::is_congested() const { return pending_.size() - sent_ > kPendingHigh; }

void StreamClient::flush() {
  while (sent_ < pending_.size()) {
    const ssize_t sent = ::send(socket_.get(), pending_.data() + sent_, pending_.size() - sent_, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) return close_now(false);
    sent_ += static_cast<size_t>(sent);
  }
  if (sent_ == pending_.size()) {
    pending_ = std::string();
    sent_ = 0;
    if (state_ == State::kEnding) return close_writing();
  }
  update_interest();
  if (stdio_ != nullptr) stdio_->update_pause();
}

void StreamClient::end() {
  if (state_ != State::kAttached) return;
  state_ = State::kEnding;
  flush();
}

void StreamClient::close_writing() {
  state_ = State::kClosing;
  shutdown(socket_.get(), SHUT_WR);
  if (!input_open_) return close_now(false);
  // Closing with unread input would make the peer see a reset instead of the end.
  loop_.set_alarm(this, kCloseTimeoutMs);
  update_interest();
}

void StreamClient::abandon() {
  if (stdio_ != nullptr) stdio_->leave(this);
  stdio_ = nullptr;
  if (state_ == State::kAttached) end();
}

void StreamClient::close_now(bool by_keys) {
  if (state_ == State::kClosed) return;
  const bool was_attached = state_ != State::kTicket;
  const bool ended_by_us = state_ == State::kEnding || state_ == State::kClosing;
  state_ = State::kClosed;
  loop_.clear_alarm(this);
  loop_.remove(socket_.get(), this);
  socket_.reset();
  Stdio* stdio = std::exchange(stdio_, nullptr);
  if (stdio != nullptr) {
    const bool fed_input = terms_.stdin && input_open_ && !by_keys && !ended_by_us;
    stdio->leave(this);
    // A client that vanished has ended its input too.
    if (fed_input && stdio->takes_input()) stdio->client_ended_input(this);
  }
  if (was_attached) host_.detached(terms_, by_keys);
  host_.closed(this);
}

StreamListener::StreamListener(Loop& loop, StreamHost& host, UniqueFd listener)
    : loop_(loop), host_(host), listener_(std::move(listener)) {
  fcntl(listener_.get(), F_SETFL, fcntl(listener_.get(), F_GETFL) | O_NONBLOCK);
  loop_.add(listener_.get(), EPOLLIN, this);
}

StreamListener::~StreamListener() { close(); }

void StreamListener::close() {
  if (!listener_) return;
  loop_.remove(listener_.get(), this);
  listener_.reset();
}

void StreamListener::ready(uint32_t) {
  for (;;) {
    UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return;
    if (clients_.size() >= kClientsMax) continue;
    clients_.push_back(std::make_unique<StreamClient>(loop_, host_, std::move(socket)));
    clients_.back()->begin();
    if (!listener_) return;
  }
}

void StreamListener::forget(StreamClient* client) {
  const auto place = std::find_if(clients_.begin(), clients_.end(), [&](const auto& held) { return held.get() == client; });
  if (place == clients_.end()) return;
  loop_.bury(std::move(*place));
  clients_.erase(place);
}

}  // namespace gantry::shim
