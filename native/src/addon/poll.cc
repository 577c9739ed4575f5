#include "addon/poll.h"

#include "addon/convert.h"
#include "kernel/syscall_error.h"

namespace gantry::addon {

PollWatch::PollWatch(Napi::Env env, UniqueFd fd, Napi::Function callback, OnReadable on_readable)
    : env_(env),
      fd_(std::move(fd)),
      callback_(Napi::Persistent(callback)),
      context_(std::make_shared<Napi::AsyncContext>(env, "gantry.poll")),
      on_readable_(std::move(on_readable)) {}

PollWatch::Started PollWatch::start(Napi::Env env, UniqueFd fd, Napi::Function callback, OnReadable on_readable,
                                    int events) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) throw SyscallError(EINVAL, "uv_loop");
  std::shared_ptr<PollWatch> watch(new PollWatch(env, std::move(fd), callback, std::move(on_readable)));
  if (const int status = uv_poll_init(loop, &watch->poll_, watch->fd_.get()); status != 0) {
    throw SyscallError(-status, "uv_poll_init");
  }
  watch->poll_.data = watch.get();
  watch->self_ = watch;
  napi_add_env_cleanup_hook(env, on_environment_end, watch.get());
  if (const int status = uv_poll_start(&watch->poll_, events, on_poll); status != 0) {
    watch->close();
    throw SyscallError(-status, "uv_poll_start");
  }
  Napi::Object handle = Napi::Object::New(env);
  handle.Set("close", Napi::Function::New(
                          env, [watch](const Napi::CallbackInfo&) { watch->close(); }, "close"));
  return {handle, watch};
}

void PollWatch::close() {
  if (closed_) return;
  closed_ = true;
  napi_remove_env_cleanup_hook(env_, on_environment_end, this);
  uv_poll_stop(&poll_);
  fd_.reset();
  // Both belong to the environment, which may be gone when libuv calls back.
  callback_.Reset();
  context_.reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), [](uv_handle_t* handle) {
    // May be the last owner: nothing is touched after this.
    static_cast<PollWatch*>(handle->data)->self_.reset();
  });
}

void PollWatch::on_environment_end(void* watch) {
  static_cast<PollWatch*>(watch)->close();
}

void PollWatch::on_poll(uv_poll_t* handle, int, int) {
  const std::shared_ptr<PollWatch> watch = static_cast<PollWatch*>(handle->data)->shared_from_this();
  // Outlives the scope below also when the callback closes the watch.
  const std::shared_ptr<Napi::AsyncContext> context = watch->context_;
  const Napi::HandleScope scope(watch->env_);
  const Napi::CallbackScope callback_scope(watch->env_, *context);
  try {
    watch->on_readable_(watch->env_, watch->callback_);
  } catch (const Napi::Error& error) {
    // A callback that throws is an uncaught exception, as it would be in any event handler.
    napi_fatal_exception(watch->env_, error.Value());
  }
}

}  // namespace gantry::addon
