#include "shim/name_forward.h"

#include <errno.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <system_error>
#include <utility>

#include "shim/name_sockets.h"

namespace gantry::shim {
namespace {

// As many as Docker asks, and as many questions under way as it has.
constexpr size_t kUpstreamsMax = 3;
constexpr size_t kExchangesMax = 1024;
// A silent server is left for the next one after this time; it may still answer. Clients give up after 5 seconds.
constexpr uint32_t kNextServerMs = 2000;
constexpr uint32_t kLastServerMs = 4000;
constexpr uint16_t kNamePort = 53;
constexpr size_t kLengthBytes = 2;

uint16_t random_id() {
  uint16_t id = 0;
  // Cannot fail once the kernel's generator is up, which it is when containers run.
  while (getrandom(&id, sizeof(id), 0) != sizeof(id)) {
  }
  return id;
}

socklen_t socket_address(const std::string& address, sockaddr_storage& out) {
  out = {};
  if (address.size() == sizeof(in_addr)) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(kNamePort);
    std::memcpy(&v4->sin_addr, address.data(), address.size());
    return sizeof(*v4);
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(kNamePort);
  std::memcpy(&v6->sin6_addr, address.data(), sizeof(v6->sin6_addr));
  return sizeof(*v6);
}

// The number of the link that a link-local address is on, in the network namespace of the socket; 0 when it has none.
uint32_t zone_number(int socket, const std::string& zone) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(zone.data(), zone.data() + zone.size(), number);
  if (error == std::errc() && end == zone.data() + zone.size()) return number;
  ifreq request = {};
  if (zone.size() >= sizeof(request.ifr_name)) return 0;
  std::memcpy(request.ifr_name, zone.data(), zone.size());
  return ioctl(socket, SIOCGIFINDEX, &request) == 0 ? static_cast<uint32_t>(request.ifr_ifindex) : 0;
}

bool is_passing(int error) { return error == EAGAIN || error == EINTR || error == EINPROGRESS; }

// Another server may do better.
bool is_failure(dns::Rcode rcode) { return rcode == dns::Rcode::kServerFailure || rcode == dns::Rcode::kRefused; }

}  // namespace

// One question on its way, with a socket for each server that was asked so far.
class Exchange : public Watch, public Alarm {
 public:
  Exchange(NameForwarder& owner, const dns::Query& query, std::string_view message, const NameAsker& asker,
           std::vector<NameUpstreamPlan> upstreams, bool is_known);
  ~Exchange() override { close_all(); }

  // Asks the next server that can be asked; ends the exchange when there is none and nobody is left who may answer.
  void ask_next();

  void ready(uint32_t events) override;
  void expired() override;

 private:
  enum class Progress { kWaiting, kFailed, kAnswered };

  struct Leg {
    UniqueFd socket;
    size_t sent = 0;
    std::string received;
  };

  bool open_leg(const NameUpstreamPlan& upstream);
  Progress progress(Leg& leg);
  Progress send_rest(Leg& leg);
  Progress receive_datagram(Leg& leg);
  Progress receive_stream(Leg& leg);
  Progress take(std::string_view answer);
  void close(Leg& leg);
  void close_all();
  void give_up();

  std::string no_such_record() const { return dns::compose(query_, dns::Rcode::kNoError, {}, dns::kPlainUdpMax); }
  std::string_view question() const { return std::string_view(out_).substr(question_at_, question_size_); }

  NameForwarder& owner_;
  NameAsker asker_;
  dns::Query query_;
  std::vector<NameUpstreamPlan> upstreams_;
  size_t next_ = 0;
  bool is_known_;
  uint16_t id_;
  // The message as it goes out; by TCP with its length in front.
  std::string out_;
  size_t question_at_;
  size_t question_size_;
  std::vector<Leg> legs_;
  // What the client is told when no server does better.
  std::string failure_;
};

Exchange::Exchange(NameForwarder& owner, const dns::Query& query, std::string_view message, const NameAsker& asker,
                   std::vector<NameUpstreamPlan> upstreams, bool is_known)
    : owner_(owner),
      asker_(asker),
      query_(query),
      upstreams_(std::move(upstreams)),
      is_known_(is_known),
      id_(random_id()) {
  if (asker.tcp) {
    out_ += static_cast<char>(message.size() >> 8);
    out_ += static_cast<char>(message.size());
  }
  const size_t begin = out_.size();
  out_ += message;
  dns::set_message_id(out_.data() + begin, id_);
  question_at_ = begin + dns::kHeaderBytes;
  question_size_ = query.question.size();
  query_.question = question();
  legs_.reserve(kUpstreamsMax);
}

bool Exchange::open_leg(const NameUpstreamPlan& upstream) {
  sockaddr_storage address;
  const socklen_t size = socket_address(upstream.address, address);
  const int type = asker_.tcp ? SOCK_STREAM : SOCK_DGRAM;
  Leg leg;
  const int fd = socket_in(upstream.from_host ? -1 : owner_.network_, address.ss_family, type);
  if (fd < 0) return false;
  leg.socket.reset(fd);
  if (!upstream.zone.empty()) reinterpret_cast<sockaddr_in6&>(address).sin6_scope_id = zone_number(fd, upstream.zone);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0 && !is_passing(errno)) return false;
  if (send_rest(leg) == Progress::kFailed) return false;
  if (!owner_.loop_.add(fd, leg.sent < out_.size() ? EPOLLIN | EPOLLOUT : EPOLLIN, this)) return false;
  legs_.push_back(std::move(leg));
  return true;
}

void Exchange::ask_next() {
  while (next_ < upstreams_.size()) {
    if (!open_leg(upstreams_[next_++])) continue;
    owner_.loop_.set_alarm(this, next_ < upstreams_.size() ? kNextServerMs : kLastServerMs);
    return;
  }
  const bool any_open = std::any_of(legs_.begin(), legs_.end(), [](const Leg& leg) { return leg.socket.valid(); });
  if (!any_open) give_up();
}

void Exchange::give_up() {
  close_all();
  if (is_known_) failure_ = no_such_record();
  if (failure_.empty()) failure_ = dns::compose(query_, dns::Rcode::kServerFailure, {}, dns::kPlainUdpMax);
  owner_.answerer_.answer(asker_, failure_);
  owner_.finish(this);
}

void Exchange::expired() {
  if (next_ >= upstreams_.size()) return give_up();
  ask_next();
}

void Exchange::ready(uint32_t) {
  bool lost_newest = false;
  for (size_t i = 0; i < legs_.size(); ++i) {
    if (!legs_[i].socket) continue;
    switch (progress(legs_[i])) {
      case Progress::kWaiting: break;
      case Progress::kAnswered:
        close_all();
        return owner_.finish(this);
      case Progress::kFailed:
        close(legs_[i]);
        lost_newest = i + 1 == legs_.size();
        break;
    }
  }
  const bool any_open = std::any_of(legs_.begin(), legs_.end(), [](const Leg& leg) { return leg.socket.valid(); });
  if (lost_newest || !any_open) ask_next();
}

Exchange::Progress Exchange::progress(Leg& leg) {
  if (leg.sent < out_.size()) {
    const Progress sending = send_rest(leg);
    if (sending == Progress::kFailed || leg.sent < out_.size()) return sending;
    owner_.loop_.change(leg.socket.get(), EPOLLIN, this);
  }
  return asker_.tcp ? receive_stream(leg) : receive_datagram(leg);
}

Exchange::Progress Exchange::send_rest(Leg& leg) {
  const ssize_t sent = send(leg.socket.get(), out_.data() + leg.sent, out_.size() - leg.sent, MSG_NOSIGNAL);
  if (sent < 0) return is_passing(errno) ? Progress::kWaiting : Progress::kFailed;
  leg.sent += static_cast<size_t>(sent);
  return Progress::kWaiting;
}

Exchange::Progress Exchange::receive_datagram(Leg& leg) {
  const std::span<char> buffer = owner_.loop_.scratch();
  const ssize_t length = recv(leg.socket.get(), buffer.data(), buffer.size(), 0);
  if (length < 0) return is_passing(errno) ? Progress::kWaiting : Progress::kFailed;
  // What is no answer to this question is somebody's attempt at one.
  const std::string_view answer(buffer.data(), static_cast<size_t>(length));
  return dns::is_answer_to(answer, id_, question()) ? take(answer) : Progress::kWaiting;
}

Exchange::Progress Exchange::receive_stream(Leg& leg) {
  const std::span<char> buffer = owner_.loop_.scratch();
  const ssize_t length = recv(leg.socket.get(), buffer.data(), buffer.size(), 0);
  if (length < 0) return is_passing(errno) ? Progress::kWaiting : Progress::kFailed;
  if (length == 0) return Progress::kFailed;
  leg.received.append(buffer.data(), static_cast<size_t>(length));
  if (leg.received.size() < kLengthBytes) return Progress::kWaiting;
  const size_t size = dns::message_id(leg.received);
  if (leg.received.size() < kLengthBytes + size) return Progress::kWaiting;
  const std::string_view answer = std::string_view(leg.received).substr(kLengthBytes, size);
  return dns::is_answer_to(answer, id_, question()) ? take(answer) : Progress::kFailed;
}

Exchange::Progress Exchange::take(std::string_view answer) {
  std::string own(answer);
  dns::set_message_id(own.data(), query_.id);
  if (is_failure(dns::message_rcode(own))) {
    failure_ = std::move(own);
    return Progress::kFailed;
  }
  const bool is_denied = is_known_ && dns::message_rcode(own) == dns::Rcode::kNameError;
  owner_.answerer_.answer(asker_, is_denied ? no_such_record() : own);
  return Progress::kAnswered;
}

void Exchange::close(Leg& leg) {
  if (!leg.socket) return;
  owner_.loop_.remove(leg.socket.get(), this);
  leg.socket.reset();
}

void Exchange::close_all() {
  owner_.loop_.clear_alarm(this);
  for (Leg& leg : legs_) close(leg);
}

NameForwarder::NameForwarder(Loop& loop, NameAnswerer& answerer, int network)
    : loop_(loop), answerer_(answerer), network_(network) {}

NameForwarder::~NameForwarder() = default;

void NameForwarder::ask(const NameTable& table, const dns::Query& query, std::string_view message,
                        const NameAsker& asker, bool is_known) {
  if (exchanges_.size() >= kExchangesMax) {
    return answerer_.answer(asker, dns::compose(query, dns::Rcode::kRefused, {}, dns::kPlainUdpMax));
  }
  std::vector<NameUpstreamPlan> upstreams;
  for (const auto& upstream : table.upstreams()) {
    // From a network without a way out nothing is asked on the host's behalf. What the container itself can reach there
    // it may ask.
    if (upstream.from_host && !table.has_way_out()) continue;
    if (upstreams.size() < kUpstreamsMax) upstreams.push_back(upstream);
  }
  exchanges_.push_back(std::make_unique<Exchange>(*this, query, message, asker, std::move(upstreams), is_known));
  exchanges_.back()->ask_next();
}

void NameForwarder::finish(Exchange* exchange) {
  const auto place =
      std::find_if(exchanges_.begin(), exchanges_.end(), [&](const auto& held) { return held.get() == exchange; });
  if (place == exchanges_.end()) return;
  loop_.bury(std::move(*place));
  exchanges_.erase(place);
}

}  // namespace gantry::shim
