#include "kernel/rtnetlink.h"

#include <sys/socket.h>

#include <array>

#include "kernel/syscall_error.h"

namespace gantry {
namespace {

constexpr size_t kReceiveBytes = 64 * 1024;

ssize_t receive(int fd, char* buffer, size_t size, const char* step, const std::string& subject) {
  for (;;) {
    const ssize_t length = recv(fd, buffer, size, 0);
    if (length >= 0) return length;
    if (errno != EINTR) throw_errno("recv", subject, step);
  }
}

}  // namespace

RtSocket::RtSocket() : fd_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
  if (!fd_) throw_errno("socket", {}, "rtnetlink");
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  if (bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    throw_errno("bind", {}, "rtnetlink");
  }
  // Strict checking makes the kernel honour the filters of a dump; kernels without it only answer more.
  const int on = 1;
  setsockopt(fd_.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
}

void RtSocket::send(RtRequest& request, const char* step, const std::string& subject) {
  const std::vector<char>& bytes = request.bytes(++sequence_);
  if (::send(fd_.get(), bytes.data(), bytes.size(), 0) < 0) throw_errno("send", subject, step);
}

void RtSocket::change(RtRequest& request, const char* step, const std::string& subject) {
  send(request, step, subject);
  alignas(nlmsghdr) std::array<char, kReceiveBytes> buffer;
  for (;;) {
    auto left = static_cast<unsigned>(receive(fd_.get(), buffer.data(), buffer.size(), step, subject));
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_seq != sequence_ || message->nlmsg_type != NLMSG_ERROR) continue;
      const int error = -static_cast<const nlmsgerr*>(NLMSG_DATA(message))->error;
      if (error != 0) throw SyscallError(error, "rtnetlink", subject, step);
      return;
    }
  }
}

void RtSocket::dump(RtRequest& request, const char* step, const std::function<void()>& restart,
                    const std::function<void(const nlmsghdr&)>& each) {
  // A list that changes all the time would never be whole: after some tries the last answer has to do.
  constexpr int kTries = 5;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    restart();
    if (dump_once(request, step, each)) return;
  }
}

bool RtSocket::dump_once(RtRequest& request, const char* step, const std::function<void(const nlmsghdr&)>& each) {
  send(request, step, {});
  alignas(nlmsghdr) std::array<char, kReceiveBytes> buffer;
  bool whole = true;
  for (;;) {
    auto left = static_cast<unsigned>(receive(fd_.get(), buffer.data(), buffer.size(), step, {}));
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_seq != sequence_) continue;
      if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) whole = false;
      if (message->nlmsg_type == NLMSG_DONE) return whole;
      if (message->nlmsg_type == NLMSG_ERROR) {
        const int error = -static_cast<const nlmsgerr*>(NLMSG_DATA(message))->error;
        throw SyscallError(error, "rtnetlink", {}, step);
      }
      each(*message);
    }
  }
}

RtAttributes::RtAttributes(const nlmsghdr& message, size_t body_size) {
  const size_t head = NLMSG_ALIGN(sizeof(nlmsghdr)) + NLMSG_ALIGN(body_size);
  if (message.nlmsg_len > head) scan(reinterpret_cast<const char*>(&message) + head, message.nlmsg_len - head);
}

RtAttributes::RtAttributes(const rtattr* parent) {
  if (parent != nullptr) scan(static_cast<const char*>(RTA_DATA(parent)), RTA_PAYLOAD(parent));
}

void RtAttributes::scan(const char* data, size_t size) {
  auto left = static_cast<int>(size);
  for (auto* attribute = reinterpret_cast<const rtattr*>(data); RTA_OK(attribute, left);
       attribute = RTA_NEXT(attribute, left)) {
    attributes_.push_back(attribute);
  }
}

const rtattr* RtAttributes::find(unsigned short type) const {
  for (auto at = attributes_.rbegin(); at != attributes_.rend(); ++at) {
    if (((*at)->rta_type & NLA_TYPE_MASK) == type) return *at;
  }
  return nullptr;
}

uint32_t RtAttributes::u32(unsigned short type, uint32_t fallback) const {
  const rtattr* attribute = find(type);
  if (attribute == nullptr || RTA_PAYLOAD(attribute) < sizeof(uint32_t)) return fallback;
  uint32_t value = 0;
  std::memcpy(&value, RTA_DATA(attribute), sizeof(value));
  return value;
}

std::string RtAttributes::text(unsigned short type) const {
  const rtattr* attribute = find(type);
  if (attribute == nullptr) return {};
  const char* data = static_cast<const char*>(RTA_DATA(attribute));
  return std::string(data, strnlen(data, RTA_PAYLOAD(attribute)));
}

std::vector<uint8_t> RtAttributes::bytes(unsigned short type) const {
  const rtattr* attribute = find(type);
  if (attribute == nullptr) return {};
  const auto* data = static_cast<const uint8_t*>(RTA_DATA(attribute));
  return {data, data + RTA_PAYLOAD(attribute)};
}

}  // namespace gantry
