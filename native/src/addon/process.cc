#include "addon/process.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "addon/convert.h"
#include "addon/poll.h"
#include "kernel/process.h"

namespace gantry::addon {
namespace {

Napi::Value seal_executable_js(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    UniqueFd fd = seal_executable(info[0].As<Napi::String>());
    return Napi::Number::New(info.Env(), fd.release());
  });
}

std::vector<FdMapping> to_mappings(const Napi::Value& value) {
  const auto list = value.As<Napi::Array>();
  std::vector<FdMapping> result;
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const auto pair = list.Get(i).As<Napi::Array>();
    result.push_back({pair.Get(0U).As<Napi::Number>().Int32Value(), pair.Get(1U).As<Napi::Number>().Int32Value()});
  }
  return result;
}

Napi::Value launch_js(const Napi::CallbackInfo& info) {
  const auto options = info[0].As<Napi::Object>();
  const LaunchRequest request{
      .executable_fd = get_int(options, "executable"),
      .argv = to_strings(options.Get("argv")),
      .env = to_strings(options.Get("env")),
      .fds = to_mappings(options.Get("fds")),
      .cwd = get_string_or(options, "cwd", ""),
  };
  return guarded(info.Env(), [&] {
    LaunchedProcess launched = launch(request);
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("pid", launched.pid);
    result.Set("pidfd", launched.pidfd.release());
    return result;
  });
}

Napi::Value pidfd_open_js(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    UniqueFd fd = pidfd_open(info[0].As<Napi::Number>().Int32Value());
    return Napi::Number::New(info.Env(), fd.release());
  });
}

void pidfd_send_signal_js(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    pidfd_send_signal(info[0].As<Napi::Number>().Int32Value(), info[1].As<Napi::Number>().Int32Value());
  });
}

// The process is over when its pidfd is readable. A child of ours is reaped here, and how it ended is told; of
// another's child only that it ended.
void on_process_end(Napi::Env env, int pidfd, const Napi::FunctionReference& callback, std::function<void()> close) {
  const std::optional<ChildExit> exit = guarded(env, [&] { return reap(pidfd); });
  const Napi::Function function = callback.Value();
  close();
  if (!exit) {
    function.Call({env.Undefined()});
    return;
  }
  Napi::Object status = Napi::Object::New(env);
  status.Set(exit->code == CLD_EXITED ? "exitCode" : "signal", exit->status);
  function.Call({status});
}

Napi::Value watch_pidfd_js(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const int pidfd = info[0].As<Napi::Number>().Int32Value();
    // A duplicate: the caller's own descriptor stays the caller's to close at any time.
    UniqueFd copy(fcntl(pidfd, F_DUPFD_CLOEXEC, 3));
    if (!copy) throw_errno("fcntl", std::to_string(pidfd), "watch pidfd");
    const int watched = copy.get();
    const auto handle = std::make_shared<std::weak_ptr<PollWatch>>();
    auto [object, watch] = PollWatch::start(
        info.Env(), std::move(copy), info[1].As<Napi::Function>(),
        [watched, handle](Napi::Env env, const Napi::FunctionReference& callback) {
          on_process_end(env, watched, callback, [&] {
            if (const auto self = handle->lock()) self->close();
          });
        });
    *handle = watch;
    return object;
  });
}

Napi::Value process_start_ticks_js(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::optional<uint64_t> ticks = process_start_ticks(info[0].As<Napi::Number>().Int32Value());
    if (!ticks) return info.Env().Undefined();
    return Napi::BigInt::New(info.Env(), *ticks);
  });
}

}  // namespace

void export_process(Napi::Env env, Napi::Object exports) {
  exports.Set("sealExecutable", Napi::Function::New(env, seal_executable_js, "sealExecutable"));
  exports.Set("launch", Napi::Function::New(env, launch_js, "launch"));
  exports.Set("pidfdOpen", Napi::Function::New(env, pidfd_open_js, "pidfdOpen"));
  exports.Set("pidfdSendSignal", Napi::Function::New(env, pidfd_send_signal_js, "pidfdSendSignal"));
  exports.Set("watchPidfd", Napi::Function::New(env, watch_pidfd_js, "watchPidfd"));
  exports.Set("processStartTicks", Napi::Function::New(env, process_start_ticks_js, "processStartTicks"));
}

}  // namespace gantry::addon
