// Kernel work that may block, on a libuv thread, given to JavaScript as a promise.
#pragma once

#include <napi.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "addon/convert.h"
#include "kernel/syscall_error.h"

namespace gantry::addon {

// `work` runs in the thread and touches no JavaScript; `finish` turns its result into a value on the main thread.
template <typename Result>
class PromiseWorker : public Napi::AsyncWorker {
 public:
  using Work = std::function<Result()>;
  using Finish = std::function<Napi::Value(Napi::Env, Result&)>;

  // Starts the work and returns its promise. The worker owns itself until it is done.
  static Napi::Promise start(Napi::Env env, Work work, Finish finish) {
    auto worker = std::unique_ptr<PromiseWorker>(new PromiseWorker(env, std::move(work), std::move(finish)));
    const Napi::Promise promise = worker->deferred_.Promise();
    worker.release()->Queue();
    return promise;
  }

 protected:
  void Execute() override {
    try {
      result_.emplace(work_());
    } catch (const SyscallError& error) {
      error_.emplace(error);
    }
  }

  void OnOK() override {
    if (error_) {
      deferred_.Reject(to_js_error(Env(), *error_).Value());
    } else {
      deferred_.Resolve(finish_(Env(), *result_));
    }
  }

  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  PromiseWorker(Napi::Env env, Work work, Finish finish)
      : AsyncWorker(env), deferred_(env), work_(std::move(work)), finish_(std::move(finish)) {}

  Napi::Promise::Deferred deferred_;
  Work work_;
  Finish finish_;
  std::optional<Result> result_;
  std::optional<SyscallError> error_;
};

// For work without a result.
inline Napi::Promise start_void(Napi::Env env, std::function<void()> work) {
  return PromiseWorker<bool>::start(
      env,
      [work = std::move(work)] {
        work();
        return true;
      },
      [](Napi::Env inner, bool&) { return inner.Undefined(); });
}

}  // namespace gantry::addon
