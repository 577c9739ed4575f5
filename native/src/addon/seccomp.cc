#include "addon/seccomp.h"

#include "addon/convert.h"
#include "addon/worker.h"
#include "kernel/seccomp_compile.h"

namespace gantry::addon {
namespace {

uint64_t to_u64(const Napi::Value& value) {
  bool lossless = false;
  return value.As<Napi::BigInt>().Uint64Value(&lossless);
}

SeccompCondition to_condition(const Napi::Object& object) {
  return {
      .index = object.Get("index").As<Napi::Number>().Uint32Value(),
      .op = get_int(object, "op"),
      .value = to_u64(object.Get("value")),
      .value_two = to_u64(object.Get("valueTwo")),
  };
}

SeccompRule to_rule(const Napi::Object& object) {
  SeccompRule rule{
      .action = object.Get("action").As<Napi::Number>().Uint32Value(),
      .names = to_strings(object.Get("names")),
      .conditions = {},
  };
  const auto conditions = object.Get("conditions").As<Napi::Array>();
  for (uint32_t i = 0; i < conditions.Length(); ++i) {
    rule.conditions.push_back(to_condition(conditions.Get(i).As<Napi::Object>()));
  }
  return rule;
}

SeccompProfile to_profile(const Napi::Object& object) {
  SeccompProfile profile{
      .default_action = object.Get("defaultAction").As<Napi::Number>().Uint32Value(),
      .architectures = to_strings(object.Get("architectures")),
      .rules = {},
      .refuse_socketcall_socket = get_bool_or(object, "refuseSocketcallSocket", false),
  };
  const auto rules = object.Get("rules").As<Napi::Array>();
  for (uint32_t i = 0; i < rules.Length(); ++i) profile.rules.push_back(to_rule(rules.Get(i).As<Napi::Object>()));
  return profile;
}

// Takes about 10 ms, hence a thread.
Napi::Value compile_seccomp_js(const Napi::CallbackInfo& info) {
  using Program = std::vector<sock_filter>;
  return PromiseWorker<Program>::start(
      info.Env(), [profile = to_profile(info[0].As<Napi::Object>())] { return compile_seccomp(profile); },
      [](Napi::Env env, Program& program) {
        const size_t size = program.size() * sizeof(sock_filter);
        Napi::Uint8Array bytes = Napi::Uint8Array::New(env, size);
        std::memcpy(bytes.Data(), program.data(), size);
        return bytes;
      });
}

Napi::Value seccomp_version_js(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), seccomp_version());
}

}  // namespace

void export_seccomp(Napi::Env env, Napi::Object exports) {
  exports.Set("compileSeccomp", Napi::Function::New(env, compile_seccomp_js, "compileSeccomp"));
  exports.Set("seccompVersion", Napi::Function::New(env, seccomp_version_js, "seccompVersion"));
}

}  // namespace gantry::addon
