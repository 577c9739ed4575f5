// Readiness of a descriptor, by libuv, as a JavaScript callback.
#pragma once

#include <napi.h>
#include <uv.h>

#include <functional>
#include <memory>

#include "kernel/unique_fd.h"

namespace gantry::addon {

// One uv_poll on one descriptor, held by a JavaScript object `{close()}`. The handle keeps the loop alive until it is
// closed; libuv frees it after its close callback, whoever is first of JavaScript's collector and the environment's end.
class PollWatch : public std::enable_shared_from_this<PollWatch> {
 public:
  // Called on each readiness with the environment entered; closing within is allowed.
  using OnReadable = std::function<void(Napi::Env, const Napi::FunctionReference&)>;

  // The JavaScript handle, and the watch itself for callbacks that end it.
  struct Started {
    Napi::Object object;
    std::weak_ptr<PollWatch> watch;
  };

  // Watches `fd`, which is owned from here on, for `events` of uv_poll. A hang-up or error counts as any of them.
  static Started start(Napi::Env env, UniqueFd fd, Napi::Function callback, OnReadable on_readable,
                       int events = UV_READABLE);

  void close();
  int fd() const { return fd_.get(); }

 private:
  PollWatch(Napi::Env env, UniqueFd fd, Napi::Function callback, OnReadable on_readable);

  static void on_poll(uv_poll_t* handle, int status, int events);
  static void on_environment_end(void* watch);

  Napi::Env env_;
  UniqueFd fd_;
  Napi::FunctionReference callback_;
  std::shared_ptr<Napi::AsyncContext> context_;
  OnReadable on_readable_;
  uv_poll_t poll_;
  bool closed_ = false;
  // Keeps this alive while libuv has the handle.
  std::shared_ptr<PollWatch> self_;
};

}  // namespace gantry::addon
