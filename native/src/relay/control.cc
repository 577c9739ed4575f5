#include "relay/control.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

namespace gantry::relay {
namespace {

constexpr size_t kMaxLine = 64 << 10;
constexpr size_t kMaxUnsent = 16 << 20;  // a client that asks and never reads is cut off
constexpr size_t kMaxClients = 64;

}  // namespace

class ControlClient final : public Handler {
 public:
  ControlClient(ControlServer& server, UniqueFd socket) : server_(server), socket_(std::move(socket)) {}

  bool start() { return server_.loop_.watch(socket_.get(), EPOLLIN, this); }

  void on_events(uint32_t events) override {
    if (!receive() || !send_answers()) return end();
    if ((events & (EPOLLHUP | EPOLLERR)) && answers_.empty()) end();
  }

  void end() {
    socket_.reset();
    server_.forget(this);
  }

 private:
  bool receive() {
    std::array<char, 16384> bytes;
    ssize_t size = recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    if (size == 0) return false;
    line_.append(bytes.data(), static_cast<size_t>(size));
    size_t begin = 0;
    for (size_t end = line_.find('\n'); end != std::string::npos; end = line_.find('\n', begin)) {
      answers_ += server_.table_.answer(std::string_view(line_).substr(begin, end - begin));
      answers_ += '\n';
      begin = end + 1;
    }
    line_.erase(0, begin);
    return line_.size() <= kMaxLine && answers_.size() <= kMaxUnsent;
  }

  bool send_answers() {
    while (!answers_.empty()) {
      ssize_t size = send(socket_.get(), answers_.data(), answers_.size(), MSG_NOSIGNAL);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0 && errno == EAGAIN) break;
      if (size < 0) return false;
      answers_.erase(0, static_cast<size_t>(size));
    }
    return server_.loop_.change(socket_.get(), answers_.empty() ? uint32_t{EPOLLIN} : EPOLLIN | EPOLLOUT, this);
  }

  ControlServer& server_;
  UniqueFd socket_;
  std::string line_;
  std::string answers_;
};

ControlServer::ControlServer(EventLoop& loop, PortTable& table, UniqueFd listener)
    : loop_(loop), table_(table), listener_(std::move(listener)) {}

ControlServer::~ControlServer() = default;

bool ControlServer::start() { return loop_.watch(listener_.get(), EPOLLIN, this); }

void ControlServer::on_events(uint32_t) {
  UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket || clients_.size() >= kMaxClients) return;
  auto client = std::make_shared<ControlClient>(*this, std::move(socket));
  if (client->start()) clients_.push_back(std::move(client));
}

void ControlServer::forget(ControlClient* client) {
  auto found = std::find_if(clients_.begin(), clients_.end(), [&](const auto& other) { return other.get() == client; });
  if (found == clients_.end()) return;
  loop_.retire(client, *found);
  clients_.erase(found);
}

}  // namespace gantry::relay
