#include "addon/body.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "addon/convert.h"
#include "kernel/http_body.h"
#include "kernel/unique_fd.h"

namespace gantry::addon {
namespace {

// What a Unix socket holds is read at once.
constexpr size_t kBufferSize = 256 << 10;
// Pieces of one write. A hostile body has a chunk for every byte.
constexpr size_t kMaxPieces = 64;
// Rounds of one wake-up: the event loop has other connections, too.
constexpr int kMaxRounds = 4;

UniqueFd duplicate(const Napi::Value& fd) {
  // libuv takes a descriptor once, and a stream has the original.
  const int number = fd.As<Napi::Number>().Int32Value();
  UniqueFd copy(fcntl(number, F_DUPFD_CLOEXEC, 3));
  if (!copy) throw_errno("fcntl", std::to_string(number), "relay body");
  return copy;
}

// Runs on the event loop: whichever of the sockets is waited for, it is by libuv. The loop is kept alive until the end.
class BodyRelay : public std::enable_shared_from_this<BodyRelay> {
 public:
  BodyRelay(Napi::Env env, UniqueFd from, UniqueFd to, std::optional<uint64_t> length, Bytes start,
            Napi::Function on_end)
      : env_(env),
        from_(std::move(from)),
        to_(std::move(to)),
        body_(length),
        on_end_(Napi::Persistent(on_end)),
        context_(std::make_unique<Napi::AsyncContext>(env, "gantry.body")),
        buffer_(std::max(kBufferSize, start.size)),
        end_(start.size) {
    memcpy(buffer_.data(), start.data, start.size);
  }

  void start() {
    uv_loop_t* loop = nullptr;
    if (napi_get_uv_event_loop(env_, &loop) != napi_ok) throw SyscallError(EINVAL, "uv_loop");
    init(loop, from_poll_, from_.get());
    init(loop, to_poll_, to_.get());
    napi_add_env_cleanup_hook(env_, on_environment_end, this);
    // What has come with the head goes first, as soon as the service takes it.
    wait_to_write();
  }

  void close() {
    if (closed_) return;
    closed_ = true;
    napi_remove_env_cleanup_hook(env_, on_environment_end, this);
    on_end_.Reset();
    context_.reset();
    for (uv_poll_t* poll : {&from_poll_, &to_poll_}) {
      if (poll->data == nullptr) continue;
      uv_poll_stop(poll);
      uv_close(reinterpret_cast<uv_handle_t*>(poll), [](uv_handle_t* handle) {
        // Of two handles the last one that is closed lets go of this.
        auto* owner = static_cast<std::shared_ptr<BodyRelay>*>(handle->data);
        delete owner;
      });
    }
    from_.reset();
    to_.reset();
  }

 private:
  enum class Flow { kAgain, kWait, kEnded };

  void init(uv_loop_t* loop, uv_poll_t& poll, int fd) {
    if (const int status = uv_poll_init(loop, &poll, fd); status != 0) {
      close();
      throw SyscallError(-status, "uv_poll_init");
    }
    poll.data = new std::shared_ptr<BodyRelay>(shared_from_this());
  }

  void wait_to_read() {
    uv_poll_stop(&to_poll_);
    uv_poll_start(&from_poll_, UV_READABLE, on_poll);
  }

  void wait_to_write() {
    uv_poll_stop(&from_poll_);
    uv_poll_start(&to_poll_, UV_WRITABLE, on_poll);
  }

  static void on_poll(uv_poll_t* handle, int, int) {
    const std::shared_ptr<BodyRelay> self = *static_cast<std::shared_ptr<BodyRelay>*>(handle->data);
    for (int round = 0; round < kMaxRounds; round++) {
      if (self->step() != Flow::kAgain) return;
    }
    // There may be bytes here that no event would tell of.
    self->wait_to_write();
  }

  static void on_environment_end(void* relay) { static_cast<BodyRelay*>(relay)->close(); }

  Flow step() {
    if (body_.state() == HttpBody::State::kMore && pieces_ == 0 && begin_ == end_) {
      const ssize_t n = recv(from_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) return Flow::kAgain;
      if (n < 0 && errno == EAGAIN) {
        wait_to_read();
        return Flow::kWait;
      }
      if (n <= 0) return end("cut");
      begin_ = 0;
      end_ = static_cast<size_t>(n);
    }
    gather();
    if (pieces_ > 0) return send();
    if (body_.state() == HttpBody::State::kWhole) return end("whole");
    if (body_.state() == HttpBody::State::kMalformed) return end("malformed");
    return Flow::kAgain;
  }

  void gather() {
    if (pieces_ > 0) return;
    while (pieces_ < kMaxPieces && begin_ < end_ && body_.state() == HttpBody::State::kMore) {
      size_t used = 0;
      const std::span<const uint8_t> piece = body_.next({buffer_.data() + begin_, end_ - begin_}, used);
      begin_ += used;
      if (!piece.empty()) vectors_[pieces_++] = {const_cast<uint8_t*>(piece.data()), piece.size()};
    }
  }

  Flow send() {
    msghdr message{};
    message.msg_iov = vectors_.data() + first_;
    message.msg_iovlen = pieces_ - first_;
    const ssize_t n = sendmsg(to_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) return Flow::kAgain;
    if (n < 0 && errno == EAGAIN) {
      wait_to_write();
      return Flow::kWait;
    }
    if (n < 0) return end("refused");
    size_t sent = static_cast<size_t>(n);
    while (first_ < pieces_ && sent >= vectors_[first_].iov_len) sent -= vectors_[first_++].iov_len;
    if (first_ < pieces_) {
      vectors_[first_].iov_base = static_cast<uint8_t*>(vectors_[first_].iov_base) + sent;
      vectors_[first_].iov_len -= sent;
    } else {
      first_ = pieces_ = 0;
    }
    return Flow::kAgain;
  }

  Flow end(const char* outcome) {
    const Napi::HandleScope scope(env_);
    const std::unique_ptr<Napi::AsyncContext> context = std::move(context_);
    const Napi::Function on_end = on_end_.Value();
    const Napi::CallbackScope callback_scope(env_, *context);
    close();
    try {
      on_end.Call({Napi::String::New(env_, outcome)});
    } catch (const Napi::Error& error) {
      napi_fatal_exception(env_, error.Value());
    }
    return Flow::kEnded;
  }

  Napi::Env env_;
  UniqueFd from_;
  UniqueFd to_;
  HttpBody body_;
  Napi::FunctionReference on_end_;
  std::unique_ptr<Napi::AsyncContext> context_;
  uv_poll_t from_poll_{};
  uv_poll_t to_poll_{};
  std::vector<uint8_t> buffer_;
  size_t begin_ = 0;
  size_t end_;
  // Pieces of the buffer on their way, from first_ on.
  std::array<iovec, kMaxPieces> vectors_;
  size_t first_ = 0;
  size_t pieces_ = 0;
  bool closed_ = false;
};

Napi::Value relay_body_js(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const int64_t length = info[3].As<Napi::Number>().Int64Value();
    const auto relay = std::make_shared<BodyRelay>(info.Env(), duplicate(info[0]), duplicate(info[1]),
                                                   length < 0 ? std::nullopt : std::optional<uint64_t>(length),
                                                   to_bytes(info[2]), info[4].As<Napi::Function>());
    relay->start();
    Napi::Object handle = Napi::Object::New(info.Env());
    handle.Set("close", Napi::Function::New(
                            info.Env(), [relay](const Napi::CallbackInfo&) { relay->close(); }, "close"));
    return handle;
  });
}

}  // namespace

void export_body(Napi::Env env, Napi::Object exports) {
  exports.Set("relayBody", Napi::Function::New(env, relay_body_js, "relayBody"));
}

}  // namespace gantry::addon
