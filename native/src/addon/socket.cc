#include "addon/socket.h"

#include <fcntl.h>

#include "addon/convert.h"
#include "addon/poll.h"
#include "kernel/socket.h"

namespace gantry::addon {
namespace {

Napi::Value listen_unix_js(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    UniqueFd fd = listen_unix(info[0].As<Napi::String>(), info[1].As<Napi::Number>().Uint32Value(),
                              info[2].As<Napi::Number>().Int32Value());
    return Napi::Number::New(info.Env(), fd.release());
  });
}

Napi::Value socketpair_js(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    auto [first, second] = socket_pair();
    Napi::Array result = Napi::Array::New(info.Env(), 2);
    result.Set(0U, first.release());
    result.Set(1U, second.release());
    return result;
  });
}

Napi::Value memfd_js(const Napi::CallbackInfo& info) {
  const Bytes bytes = to_bytes(info[1]);
  return guarded(info.Env(), [&] {
    UniqueFd fd = data_memfd(info[0].As<Napi::String>(), {bytes.data, bytes.size}, info[2].As<Napi::Boolean>());
    return Napi::Number::New(info.Env(), fd.release());
  });
}

void close_fd_js(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const int fd = info[0].As<Napi::Number>().Int32Value();
    // EINTR also means closed; a number that is not open is the caller's bug and is said so.
    if (::close(fd) != 0 && errno != EINTR) throw_errno("close", std::to_string(fd));
  });
}

Napi::Value watch_hangup_js(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const int fd = info[0].As<Napi::Number>().Int32Value();
    // A duplicate: libuv takes a descriptor once, and a stream has the original.
    UniqueFd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy) throw_errno("fcntl", std::to_string(fd), "watch hang-up");
    const auto handle = std::make_shared<std::weak_ptr<PollWatch>>();
    // Urgent data, which Unix sockets don't have: so only the hang-up, which needs no asking, is left to be told.
    auto [object, watch] = PollWatch::start(
        info.Env(), std::move(copy), info[1].As<Napi::Function>(),
        [handle](Napi::Env, const Napi::FunctionReference& callback) {
          const Napi::Function function = callback.Value();
          if (const auto self = handle->lock()) self->close();
          function.Call({});
        },
        UV_PRIORITIZED);
    *handle = watch;
    return object;
  });
}

}  // namespace

void export_socket(Napi::Env env, Napi::Object exports) {
  exports.Set("listenUnix", Napi::Function::New(env, listen_unix_js, "listenUnix"));
  exports.Set("socketpair", Napi::Function::New(env, socketpair_js, "socketpair"));
  exports.Set("memfd", Napi::Function::New(env, memfd_js, "memfd"));
  exports.Set("watchHangup", Napi::Function::New(env, watch_hangup_js, "watchHangup"));
  exports.Set("closeFd", Napi::Function::New(env, close_fd_js, "closeFd"));
}

}  // namespace gantry::addon
