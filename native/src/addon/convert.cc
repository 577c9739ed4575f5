#include "addon/convert.h"

#include <cstring>

namespace gantry::addon {
namespace {

// Names as Node's own errors have them; the rest is given as `ERRNO_<n>`.
std::string errno_name(int error) {
  const char* name = strerrorname_np(error);
  return name != nullptr ? name : "ERRNO_" + std::to_string(error);
}

}  // namespace

Napi::Error to_js_error(Napi::Env env, const SyscallError& error) {
  Napi::Error result = Napi::Error::New(env, errno_name(error.error()) + ": " + error.what());
  result.Set("code", Napi::String::New(env, errno_name(error.error())));
  result.Set("errno", Napi::Number::New(env, error.error()));
  result.Set("syscall", Napi::String::New(env, error.syscall()));
  if (!error.path().empty()) result.Set("path", Napi::String::New(env, error.path()));
  if (!error.step().empty()) result.Set("step", Napi::String::New(env, error.step()));
  return result;
}

std::string get_string(const Napi::Object& object, const char* name) {
  return object.Get(name).As<Napi::String>().Utf8Value();
}

std::string get_string_or(const Napi::Object& object, const char* name, const std::string& fallback) {
  const Napi::Value value = object.Get(name);
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : fallback;
}

int32_t get_int(const Napi::Object& object, const char* name) {
  return object.Get(name).As<Napi::Number>().Int32Value();
}

int32_t get_int_or(const Napi::Object& object, const char* name, int32_t fallback) {
  const Napi::Value value = object.Get(name);
  return value.IsNumber() ? value.As<Napi::Number>().Int32Value() : fallback;
}

bool get_bool_or(const Napi::Object& object, const char* name, bool fallback) {
  const Napi::Value value = object.Get(name);
  return value.IsBoolean() ? value.As<Napi::Boolean>().Value() : fallback;
}

std::vector<std::string> to_strings(const Napi::Value& array) {
  const auto list = array.As<Napi::Array>();
  std::vector<std::string> result;
  result.reserve(list.Length());
  for (uint32_t i = 0; i < list.Length(); ++i) result.push_back(list.Get(i).As<Napi::String>().Utf8Value());
  return result;
}

Bytes to_bytes(const Napi::Value& value) {
  const auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

}  // namespace gantry::addon
