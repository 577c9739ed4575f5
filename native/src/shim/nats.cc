#include "shim/nats.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <utility>

#include "shim/json_text.h"

namespace gantry::shim {
namespace {

constexpr uint32_t kGiveUpMs = 2000;
constexpr size_t kQueueMax = 256 * 1024;
constexpr size_t kLineMax = 64 * 1024;

std::string read_small_file(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return {};
  char text[1024];
  const ssize_t length = read(file.get(), text, sizeof(text));
  return length <= 0 ? std::string() : std::string(text, static_cast<size_t>(length));
}

// Takes what precedes `mark` off the front; false (and nothing taken) when there is no mark.
bool cut(std::string_view& text, char mark, std::string_view& front) {
  const size_t at = text.rfind(mark);
  if (at == std::string_view::npos) return false;
  front = text.substr(0, at);
  text = text.substr(at + 1);
  return true;
}

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  const char lower = static_cast<char>(digit | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Undoes percent-encoding; a percent sign that begins none stays.
std::string decode_percent(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    const int high = text[at] == '%' && at + 2 < text.size() ? hex_value(text[at + 1]) : -1;
    const int low = high >= 0 ? hex_value(text[at + 2]) : -1;
    out += low >= 0 ? static_cast<char>(high << 4 | low) : text[at];
    if (low >= 0) at += 2;
  }
  return out;
}

socklen_t to_socket_address(const NatsUrl& url, sockaddr_storage& out) {
  out = {};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out);
  if (inet_pton(AF_INET, url.address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(url.port);
    return sizeof(*v4);
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out);
  if (inet_pton(AF_INET6, url.address.c_str(), &v6->sin6_addr) != 1) return 0;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(url.port);
  return sizeof(*v6);
}

std::string login_line(const NatsUrl& url) {
  std::string line = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"lang\":\"c++\",\"version\":\"1\"";
  if (!url.user.empty()) {
    line += ",\"user\":";
    append_json_string(line, url.user);
    line += ",\"pass\":";
    append_json_string(line, url.password);
  }
  return line + "}\r\n";
}

}  // namespace

bool parse_nats_url(std::string_view text, NatsUrl& out) {
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
  constexpr std::string_view kScheme = "nats://";
  if (!text.starts_with(kScheme)) return false;
  text.remove_prefix(kScheme.size());
  std::string_view login;
  if (cut(text, '@', login)) {
    const size_t colon = login.find(':');
    out.user = decode_percent(login.substr(0, colon));
    if (colon != std::string_view::npos) out.password = decode_percent(login.substr(colon + 1));
  }
  while (text.ends_with('/')) text.remove_suffix(1);
  std::string_view host;
  if (!cut(text, ':', host)) return false;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out.port);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return false;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  out.address = host == "localhost" ? "127.0.0.1" : host;
  return !out.address.empty();
}

NatsPublisher::NatsPublisher(Loop& loop, std::string url_path) : loop_(loop), url_path_(std::move(url_path)) {}

NatsPublisher::~NatsPublisher() { finish(); }

void NatsPublisher::publish(std::string_view subject, std::string_view message_id, std::string_view payload) {
  if (url_path_.empty() || queue_.size() > kQueueMax) return;
  std::string header = "NATS/1.0\r\nNats-Msg-Id: ";
  header += message_id;
  header += "\r\n\r\n";
  queue_ += "HPUB ";
  queue_ += subject;
  queue_ += ' ' + std::to_string(header.size()) + ' ' + std::to_string(header.size() + payload.size()) + "\r\n";
  queue_ += header;
  queue_ += payload;
  queue_ += "\r\n";
  // A connection that is still greeting takes it along; one that is sending is followed by another.
  if (!socket_ && !connect()) queue_ = {};
}

bool NatsPublisher::connect() {
  NatsUrl url;
  if (!parse_nats_url(read_small_file(url_path_), url)) return false;
  sockaddr_storage address;
  const socklen_t size = to_socket_address(url, address);
  if (size == 0) return false;
  UniqueFd socket(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return false;
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 && errno != EINPROGRESS) return false;
  socket_ = std::move(socket);
  state_ = State::kConnecting;
  login_ = login_line(url);
  loop_.add(socket_.get(), EPOLLIN | EPOLLOUT, this);
  loop_.set_alarm(this, kGiveUpMs);
  return true;
}

void NatsPublisher::ready(uint32_t events) {
  if ((events & EPOLLERR) != 0) {
    queue_ = {};
    return finish();
  }
  if (state_ == State::kConnecting) {
    state_ = State::kGreeting;
    loop_.change(socket_.get(), EPOLLIN, this);
  }
  if ((events & EPOLLOUT) != 0 && state_ == State::kSending) flush();
  if (socket_ && (events & (EPOLLIN | EPOLLHUP)) != 0) read_some();
}

void NatsPublisher::read_some() {
  const std::span<char> buffer = loop_.scratch();
  const ssize_t length = recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (length <= 0 || in_.size() > kLineMax) {
    queue_ = {};
    return finish();
  }
  in_.append(buffer.data(), static_cast<size_t>(length));
  take_lines();
}

void NatsPublisher::take_lines() {
  for (size_t end = in_.find("\r\n"); end != std::string::npos; end = in_.find("\r\n")) {
    const std::string line = in_.substr(0, end);
    in_.erase(0, end + 2);
    if (line.starts_with("INFO") && state_ == State::kGreeting) {
      state_ = State::kSending;
      out_ = std::exchange(login_, {}) + std::exchange(queue_, {}) + "PING\r\n";
      flush();
      if (!socket_) return;
    } else if (line.starts_with("PONG")) {
      // The answer to our PING comes after everything before it was taken.
      finish();
      if (!queue_.empty() && !connect()) queue_ = {};
      return;
    } else if (line.starts_with("PING")) {
      out_ += "PONG\r\n";
      flush();
    } else if (line.starts_with("-ERR")) {
      queue_ = {};
      return finish();
    }
  }
}

void NatsPublisher::flush() {
  while (sent_ < out_.size()) {
    const ssize_t sent = send(socket_.get(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) return finish();
    if (sent < 0) break;
    sent_ += static_cast<size_t>(sent);
  }
  loop_.change(socket_.get(), sent_ < out_.size() ? EPOLLIN | EPOLLOUT : EPOLLIN, this);
}

void NatsPublisher::expired() {
  queue_ = {};
  finish();
}

void NatsPublisher::finish() {
  loop_.clear_alarm(this);
  if (!socket_) return;
  loop_.remove(socket_.get(), this);
  socket_.reset();
  in_ = {};
  out_ = {};
  sent_ = 0;
}

}  // namespace gantry::shim
